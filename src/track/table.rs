//! Connections by number. Numbers are never used again, and the memory of those that left is given back: in pages, so that
//! a million connections that came and went cost some kilobytes.

use super::connection::Connection;

const PAGE: usize = 1024;

/// The place of one connection; empty once it left.
type Slot = Option<Box<Connection>>;

/// The place of a connection whose page is gone.
static LEFT: Slot = None;

/// The connections of a tracker.
#[derive(Default)]
pub(crate) struct ConnectionTable {
    pages: Vec<Option<Box<Page>>>,
    len: usize,
}

struct Page {
    slots: [Slot; PAGE],
    held: usize,
}

impl ConnectionTable {
    /// The number that the next connection gets.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place of a connection; `None` where there was none of this number.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        if index >= self.len {
            return None;
        }
        match self.pages.get(index / PAGE)? {
            Some(page) => page.slots.get(index % PAGE),
            None => Some(&LEFT),
        }
    }

    /// The place of a connection that may be there.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.pages.get_mut(index / PAGE)?.as_deref_mut()?.slots.get_mut(index % PAGE)
    }

    /// Adds a connection.
    pub(crate) fn push(&mut self, connection: Box<Connection>) {
        let (page, slot) = (self.len / PAGE, self.len % PAGE);
        if page == self.pages.len() {
            self.pages.push(None);
        }
        if let Some(page) = self.pages.get_mut(page) {
            let page = page.get_or_insert_with(|| Box::new(Page { slots: [const { None }; PAGE], held: 0 }));
            if let Some(slot) = page.slots.get_mut(slot) {
                *slot = Some(connection);
                page.held += 1;
            }
        }
        self.len += 1;
    }

    /// Takes a connection out.
    pub(crate) fn take(&mut self, index: usize) -> Slot {
        let place = self.pages.get_mut(index / PAGE)?;
        let page = place.as_deref_mut()?;
        let taken = page.slots.get_mut(index % PAGE)?.take()?;
        page.held -= 1;
        if page.held == 0 {
            *place = None;
        }
        Some(taken)
    }

    /// The connections held, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.pages.iter().flatten().flat_map(|page| &page.slots).flatten().map(|connection| &**connection)
    }

    /// The connections held, in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.pages.iter_mut().flatten().flat_map(|page| &mut page.slots).flatten().map(|connection| &mut **connection)
    }

    /// The first connection held from `index` on.
    pub(crate) fn next_held(&self, mut index: usize) -> Option<usize> {
        while index < self.len {
            match self.pages.get(index / PAGE)? {
                Some(page) => {
                    if page.slots.get(index % PAGE)?.is_some() {
                        return Some(index);
                    }
                    index += 1;
                }
                None => index = (index / PAGE + 1) * PAGE,
            }
        }
        None
    }
}
