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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_join_until_blocks_are_full() {
        let shape = ConvShape { groups: 32, ..ConvShape::square(1, (128, 256), [5, 5], 3, 1, 1) };
        assert_eq!(join(&shape).groups, 8);
        let odd = ConvShape { groups: 3, ..ConvShape::square(1, (15, 9), [5, 5], 3, 1, 1) };
        assert_eq!(join(&odd).groups, 1);
    }
}
