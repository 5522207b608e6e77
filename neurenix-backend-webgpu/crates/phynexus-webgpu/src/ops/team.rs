//! Rows of elements, each the work of a team of invocations.
//!
//! A kernel that works on whole rows writes with `out_put`, so that its outputs are of 32 bits: packed
//! ones are made as float32 ([`Floats`]) and converted.

use std::sync::Arc;

use super::elementwise::{FLOAT, converted};
use super::{Call, Launch};
use crate::dtype::DType;
use crate::error::Result;
use crate::shader::Part;
use crate::tensor::Tensor;

/// Invocations in a workgroup, which teams share.
const GROUP: u32 = 256;

/// Sums and largest values of a team; every launch of teams has them.
static TEAM: Part = Part { text: include_str!("../../wgsl/team/team.wgsl"), needs: &[&FLOAT] };

/// The same, where neighbours exchange values in subgroups.
static TEAM_BY_SUBGROUPS: Part =
    Part { text: include_str!("../../wgsl/team/by_subgroups.wgsl"), needs: &[&FLOAT] };

/// The scalars that [`Rows::launch`] fills in, before those of the kernel.
pub const ROWS: [&str; 3] = ["rows", "width", "inner"];

/// Rows along an axis of a dense tensor.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many there are.
    pub count: usize,
    /// Elements of one.
    pub width: usize,
    /// The distance between its elements.
    pub inner: usize,
}

impl Rows {
    /// Rows along one axis.
    pub fn along(shape: &[usize], axis: usize) -> Self {
        let inner = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        Self { count: outer * inner, width: shape[axis], inner }
    }

    /// Rows of everything that the last axes hold.
    pub fn of_last(shape: &[usize], axes: usize) -> Self {
        let (outer, last) = shape.split_at(shape.len() - axes);
        Self { count: outer.iter().product(), width: last.iter().product(), inner: 1 }
    }

    /// How many invocations share a row. It is the row's own length and stride that tell, so that a
    /// sample has the same result in every batch.
    fn team(&self) -> u32 {
        match self.width {
            0..=16 => 1,
            17..=1024 if self.inner > 1 => 1,
            17..=256 => 16,
            257..=1024 => 64,
            _ => GROUP,
        }
    }

    /// A launch of so many teams.
    #[must_use]
    pub fn launch(&self, launch: Launch, call: &Call<'_>) -> Launch {
        teams(launch, call, self.count, self.team()).size(self.count).size(self.width).size(self.inner)
    }
}

/// A launch of so many teams of some size.
#[must_use]
pub fn teams(launch: Launch, call: &Call<'_>, count: usize, team: u32) -> Launch {
    let lanes = call.device.lanes();
    let launch = if team > 1 && lanes > 0 {
        launch.by_way(&TEAM_BY_SUBGROUPS).constant("LANES", lanes.min(GROUP))
    } else {
        launch.by_way(&TEAM)
    };
    launch
        .constant("GROUP", GROUP)
        .constant("TEAM", team)
        .flat_groups(call.device, count.div_ceil((GROUP / team) as usize))
}

/// A launch of so many workgroups, each a team.
#[must_use]
pub fn groups(launch: Launch, call: &Call<'_>, count: usize) -> Launch {
    teams(launch, call, count, GROUP)
}

/// An input that may be missing: the kernel is given `instead`, and a constant that is 1 where it is there.
#[must_use]
pub fn optional(
    launch: Launch,
    name: &'static str,
    constant: &'static str,
    tensor: Option<&Tensor>,
    instead: &Tensor,
) -> Launch {
    launch.free(name, tensor.unwrap_or(instead)).constant(constant, tensor.is_some().into())
}

/// The outputs of a call, as float32 where they are packed; those lie in one buffer, as few can be bound.
pub struct Floats<'a> {
    call: &'a Call<'a>,
    made: Vec<Tensor>,
}

impl<'a> Floats<'a> {
    /// Allocates what is needed.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn of(call: &'a Call<'a>) -> Result<Self> {
        let packed = |out: &&Tensor| out.dtype.lanes() > 1;
        let total: usize = call.outputs.iter().filter(packed).map(Tensor::count).sum();
        let scratch = if total == 0 { None } else { Some(call.scratch(DType::F32, &[total])?) };
        let mut start = 0;
        let mut own = |out: &Tensor| {
            let Some(scratch) = scratch.as_ref().filter(|_| packed(&out)) else { return out.clone() };
            let part = scratch.narrow(0, start, out.count());
            start += out.count();
            part.reshaped(&out.shape)
        };
        let made = call.outputs.iter().map(&mut own).collect();
        Ok(Self { call, made })
    }

    /// The tensors that kernels write.
    pub fn outputs(&self) -> &[Tensor] {
        &self.made
    }

    /// Converts what has been written beside the outputs.
    ///
    /// # Errors
    /// The shader does not compile.
    pub fn finish(&self) -> Result<()> {
        let pairs = self.call.outputs.iter().zip(&self.made);
        for (out, made) in pairs.filter(|(out, made)| !Arc::ptr_eq(&out.block, &made.block)) {
            converted(self.call.device, out, made)?;
        }
        Ok(())
    }
}
