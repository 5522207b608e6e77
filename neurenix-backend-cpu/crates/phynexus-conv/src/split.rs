//! Cuts work into nearly equal parts.

use std::ops::Range;

/// Part `index` of `0..total` cut into `parts`.
pub fn part(total: usize, parts: usize, index: usize) -> Range<usize> {
    total * index / parts..total * (index + 1) / parts
}

/// `0..total` in the fewest nearly equal parts of at most `largest`.
pub fn chunks(total: usize, largest: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let parts = total.div_ceil(largest);
    (0..parts).map(move |index| part(total, parts, index))
}

/// Panels of blocks of 16 output channels: `width` blocks each; the rest in halves.
pub fn panels(blocks: usize, width: usize) -> Vec<Range<usize>> {
    let mut panels = Vec::new();
    let (mut start, mut width) = (0, width);
    while start < blocks {
        while start + width > blocks {
            width = width.div_ceil(2);
        }
        panels.push(start..start + width);
        start += width;
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_without_overlap() {
        for total in 0..60 {
            let mut next = 0;
            for range in chunks(total, 14) {
                assert!(range.start == next && !range.is_empty() && range.len() <= 14);
                next = range.end;
            }
            assert_eq!(next, total);
        }
    }

    #[test]
    fn panels_end_with_smaller_ones() {
        assert_eq!(panels(7, 4), [0..4, 4..6, 6..7]);
        assert_eq!(panels(3, 1), [0..1, 1..2, 2..3]);
        assert!(panels(0, 2).is_empty());
    }
}
