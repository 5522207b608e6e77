//! Direct convolution: products of weights with rows of pixels where they lie, or in a copy that holds the padding.
//!
//! One output is one chain of multiply-adds: taps in order, in each the blocks of channels, in each the 16 channels.

mod run;
mod window;

use phynexus_simd::{Isa, LANES};

use crate::canonical::Canonical;
use crate::memory::{Aligned, OutOfMemory, Plain, Shared};
use crate::micro::{max_rows, panel_width};
use crate::shape::ConvShape;
use crate::split::{chunks, panels};
use crate::tasks::for_each;

/// Where results land in the planes of the output.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Rows and columns of the plane.
    pub size: [usize; 2],
    /// Distance between results.
    pub step: [usize; 2],
    /// Where the first one goes.
    pub origin: [usize; 2],
}

/// A direct convolution over blocked activations.
#[derive(Clone, Debug)]
pub struct Direct {
    isa: Isa,
    /// Blocks of channels of one group of the input.
    in_blocks: usize,
    in_size: [usize; 2],
    stride: [usize; 2],
    /// The input row and column under result (0, 0).
    taps: Vec<[isize; 2]>,
    /// Results to compute.
    grid: [usize; 2],
    placement: Placement,
    groups: usize,
    /// Blocks of channels of one group of the output.
    out_blocks: usize,
    /// Channels of the output's last block.
    last_lanes: usize,
    /// Blocks of 16 output channels in a panel of weights.
    cols: usize,
}

impl Direct {
    /// The forward convolution. The channels of each group fill whole blocks, or there is one group.
    pub fn forward(shape: &ConvShape, isa: Isa) -> Self {
        let taps = (0..shape.kernel[0])
            .flat_map(|row| (0..shape.kernel[1]).map(move |column| (row, column)))
            .map(|(row, column)| [shape.tap_offset(0, row), shape.tap_offset(1, column)])
            .collect();
        let size = shape.out_size();
        let placement = Placement { size, step: [1, 1], origin: [0, 0] };
        Self::new(
            shape,
            isa,
            shape.in_size,
            shape.stride,
            taps,
            size,
            placement,
            [shape.group_in(), shape.group_out()],
        )
    }

    /// Any set of taps. `channels`: of one group of what is read and what is written.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        shape: &ConvShape,
        isa: Isa,
        in_size: [usize; 2],
        stride: [usize; 2],
        taps: Vec<[isize; 2]>,
        grid: [usize; 2],
        placement: Placement,
        channels: [usize; 2],
    ) -> Self {
        let mut direct = Self {
            isa,
            in_blocks: channels[0].div_ceil(LANES),
            in_size,
            stride,
            taps,
            grid,
            placement,
            groups: shape.groups,
            out_blocks: channels[1].div_ceil(LANES),
            last_lanes: channels[1] - (channels[1] - 1) / LANES * LANES,
            cols: 1,
        };
        direct.join_rows();
        let runs = chunks(direct.grid[1], max_rows(isa, 1)).map(|run| run.len()).max().unwrap_or(1);
        direct.cols = panel_width(isa, runs);
        direct
    }

    /// Takes all pixels as one row, where rows follow each other in input and output alike.
    fn join_rows(&mut self) {
        let Placement { size, step, origin } = self.placement;
        let whole = size == self.grid && self.in_size == self.grid && step == [1, 1] && origin == [0, 0];
        if self.taps == [[0, 0]] && self.stride == [1, 1] && whole {
            self.grid = [1, size[0] * size[1]];
            self.in_size = self.grid;
            self.placement.size = self.grid;
        }
    }

    /// Runs of 16 k of one output: each tap's blocks of channels.
    fn runs(&self) -> usize {
        self.taps.len() * self.in_blocks
    }

    /// Elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.groups * self.out_blocks * LANES * self.runs() * LANES
    }

    /// Packs weights: `slot(tap)` is the place of a canonical tap among those of this convolution, if it has it;
    /// `narrow` makes a weight of a float; `depth` neighbouring channels lie side by side.
    ///
    /// Layout: for each group and panel `[tap][channel / depth][vectors of the panel][16][depth]`.
    pub fn pack<W: Plain>(
        &self,
        canonical: Canonical<'_>,
        slot: impl Fn(usize) -> Option<usize> + Sync,
        (narrow, depth): (impl Fn(f32) -> W + Sync, usize),
        threads: usize,
    ) -> Result<Aligned<W>, OutOfMemory> {
        let mut packed = canonical.memory::<W>(self.packed_len())?;
        let panels = panels(self.out_blocks, self.cols);
        let to = Shared::new(packed.as_mut_ptr());
        let block_len = LANES * self.runs() * LANES;
        for_each(threads, self.groups * panels.len(), |task| {
            let (group, panel) = (task / panels.len(), &panels[task % panels.len()]);
            let start = (group * self.out_blocks + panel.start) * block_len;
            for (vector, block) in panel.clone().enumerate() {
                canonical.each_vector(group, block, |k, tap, values| {
                    let Some(tap) = slot(tap) else { return };
                    debug_assert!(tap < self.taps.len() && k < self.in_blocks * LANES);
                    let step = (tap * self.in_blocks * LANES + k) / depth;
                    let at = start + (step * panel.len() + vector) * LANES * depth + k % depth;
                    for (lane, &value) in values.iter().enumerate() {
                        // SAFETY: the weight lies within this task's panel.
                        unsafe { to.get().add(at + lane * depth).write(narrow(value)) };
                    }
                });
            }
        });
        Ok(packed)
    }
}
