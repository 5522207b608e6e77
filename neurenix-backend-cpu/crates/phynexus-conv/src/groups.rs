//! Groups whose channels do not fill whole blocks.

use crate::shape::ConvShape;

/// The same convolution with so many groups joined into one, zeros between them, that the channels of each fill whole
/// blocks of 16, or that there is one group.
///
/// A value that is not finite may turn the results of joined groups to NaN.
pub fn join(shape: &ConvShape) -> ConvShape {
    let aligned = |joined: &usize| {
        let fills = |channels: usize| (channels * joined).is_multiple_of(16);
        shape.groups.is_multiple_of(*joined) && fills(shape.group_in()) && fills(shape.group_out())
    };
    let joined = (1..=shape.groups).find(aligned).unwrap_or(shape.groups);
    ConvShape { groups: shape.groups / joined, ..shape.clone() }
}

/// A weight of the convolution with joined groups: `weight(out_channel, in_channel of its group, tap)` of the original
/// one, or zero.
pub fn joined_weight(
    shape: &ConvShape,
    weight: impl Fn(usize, usize, usize) -> f32,
) -> impl Fn(usize, usize, usize) -> f32 {
    let joined = shape.groups / join(shape).groups;
    let (inner, outer) = (shape.group_in(), shape.group_out());
    move |out_channel, in_channel, tap| {
        let group = out_channel / outer % joined;
        if in_channel / inner == group { weight(out_channel, in_channel % inner, tap) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn groups_join_until_blocks_are_full() {
        let shape = ConvShape { groups: 32, ..ConvShape::square(1, (128, 256), [5, 5], 3, 1, 1) };
        assert_eq!(join(&shape).groups, 8);
        let odd = ConvShape { groups: 3, ..ConvShape::square(1, (15, 9), [5, 5], 3, 1, 1) };
        assert_eq!(join(&odd).groups, 1);
        let calls = Cell::new(0);
        let weight = joined_weight(&odd, |_, in_channel, _| {
            calls.set(calls.get() + 1);
            in_channel as f32
        });
        // Output channel 4 is of group 1, which reads input channels 5 to 9.
        assert_eq!((weight(4, 7, 0), weight(4, 4, 0)), (2.0, 0.0));
        assert_eq!(calls.get(), 1);
    }
}
