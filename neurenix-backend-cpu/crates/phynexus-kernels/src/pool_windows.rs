//! Where the windows of a pooling lie along an axis.

/// The windows along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Elements of a window.
    pub kernel: usize,
    /// The step from a window to the next.
    pub stride: usize,
    /// Elements of padding before the first one of the input; those behind follow from the sizes.
    pub before: usize,
    /// The step between a window's elements.
    pub dilation: usize,
}

impl Windows {
    /// Where element `tap` of window 0 lies; before the input, if it is negative.
    #[inline(always)]
    pub(crate) fn offset(&self, tap: usize) -> isize {
        (tap * self.dilation) as isize - self.before as isize
    }

    /// The windows, of `count`, whose element `tap` lies in an input of `size`: from .. to.
    #[inline(always)]
    pub(crate) fn inside(&self, tap: usize, size: usize, count: usize) -> (usize, usize) {
        let (offset, stride) = (self.offset(tap), self.stride as isize);
        let first = (-offset).max(0) as usize;
        let end = (size as isize - offset).max(0);
        let end = ((end + stride - 1) / stride) as usize;
        let start = first.div_ceil(self.stride).min(count);
        (start, end.min(count).max(start))
    }

    /// The elements of window `index` that lie in an input of `size`: where, in order.
    #[inline(always)]
    pub(crate) fn places(self, index: usize, size: usize) -> impl Iterator<Item = usize> {
        (0..self.kernel).filter_map(move |tap| {
            let place = (index * self.stride) as isize + self.offset(tap);
            (0..size as isize).contains(&place).then_some(place as usize)
        })
    }
}

/// Runs `$body` with the constant `$step`: 1 or 2, for which the compiler knows how to load
/// vectors, or 0 for any step.
macro_rules! by_step {
    ($stride:expr, |$step:ident| $body:expr) => {
        match $stride {
            1 => {
                const $step: usize = 1;
                $body
            }
            2 => {
                const $step: usize = 2;
                $body
            }
            _ => {
                const $step: usize = 0;
                $body
            }
        }
    };
}
pub(crate) use by_step;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_inside_are_those_whose_places_are() {
        for kernel in 1..4 {
            for (stride, before, dilation, size, count) in
                [(1, 0, 1, 5, 3), (2, 1, 1, 7, 4), (3, 2, 2, 4, 3), (2, 1, 3, 9, 2)]
            {
                let windows = Windows { kernel, stride, before, dilation };
                for tap in 0..kernel {
                    let (start, end) = windows.inside(tap, size, count);
                    for index in 0..count {
                        let place = (index * stride + tap * dilation) as isize - before as isize;
                        let is_inside = (0..size as isize).contains(&place);
                        assert_eq!((start..end).contains(&index), is_inside, "{windows:?} {tap} {index}");
                    }
                }
            }
        }
    }
}
