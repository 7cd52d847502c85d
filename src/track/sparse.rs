//! State that most connections never need: a pointer until it is written to.

use std::ops::{Deref, DerefMut};

/// A `T` that takes eight bytes while nothing has been written to it. Reading never allocates.
#[derive(Clone, Debug)]
pub struct Sparse<T>(Option<Box<T>>);

/// Types with one empty value for all readers.
pub trait Empty: Default + 'static {
    /// The value that nothing was written to.
    fn empty() -> &'static Self;
}

/// Gives types their [`Empty`] value.
macro_rules! empty {
    ($($type:ty = $value:expr;)*) => {$(
        impl $crate::track::sparse::Empty for $type {
            fn empty() -> &'static Self {
                static EMPTY: $type = $value;
                &EMPTY
            }
        }
    )*};
}
pub(crate) use empty;

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Sparse<T> {
    /// Nothing written.
    pub const EMPTY: Self = Self(None);

    /// Bytes on the heap of the value itself, 0 where there is none.
    pub(crate) fn own_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |_| size_of::<T>())
    }

    /// The value, if anything was written to it.
    #[inline]
    pub fn written(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Empty> Deref for Sparse<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::empty(),
        }
    }
}

impl<T: Empty> DerefMut for Sparse<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
