//! A TCP option area: one byte whether the capture cut it, then the area.

use mptcp_inspect::wire::{self, TcpOption};

/// Walks it, prints it, and writes it again.
pub fn run(input: &[u8]) {
    let Some((&first, area)) = input.split_first() else { return };
    let is_cut = first & 1 == 1;
    let area = &area[..area.len().min(40)];
    let mut walk = if is_cut { wire::options_cut(area) } else { wire::options(area) };
    let (mut end, mut is_over) = (0, false);
    for item in walk.by_ref() {
        assert!(!is_over, "nothing follows the end");
        assert_eq!(usize::from(item.offset), end, "options follow one another");
        assert_eq!(&area[end..end + item.bytes.len()], item.bytes);
        end += item.bytes.len();
        let text = item.option.to_string();
        assert!(!text.is_empty() && !item.option.name().is_empty());
        assert!(!text.contains(char::is_control), "{text:?}");
        if let Some(error) = item.option.error() {
            assert!(is_cut || !error.is_cut(), "a whole area has nothing cut");
            is_over = error.ends_walk();
        } else {
            let mut again = Vec::new();
            item.option.emit(&mut again);
            assert_eq!(again, item.bytes, "written as it was: {text}");
        }
        is_over |= item.option == TcpOption::EndOfList;
    }
    assert_eq!(end + walk.padding().len(), area.len(), "every byte is accounted for");
    assert_eq!(walk.next(), None);
}
