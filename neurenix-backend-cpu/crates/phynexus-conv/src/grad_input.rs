//! The gradient of a convolution with respect to its input: a convolution of the output's gradient.

use phynexus_simd::{Isa, LANES};

use crate::arithmetic::Arithmetic;
use crate::canonical::{Canonical, Direction};
use crate::depthwise::Depthwise;
use crate::direct::{Direct, Placement};
use crate::epilogue::RawEpilogue;
use crate::error::{ConvError, check_len};
use crate::groups;
use crate::memory::{Aligned, Shared};
use crate::micro::Float;
use crate::shape::ConvShape;
use crate::tasks::for_each;
use crate::winograd::Winograd;

#[derive(Clone, Debug)]
enum Method {
    Winograd(Winograd),
    Depthwise(Depthwise),
    Phases(Vec<Phase>),
}

/// The input pixels that lie alike between the steps of the kernel: a convolution without stride.
#[derive(Clone, Debug)]
struct Phase {
    direct: Direct,
    /// For each canonical tap its place among those that reach these pixels.
    slots: Vec<Option<usize>>,
}

/// The gradient with respect to the input, with its algorithm chosen from the shape of a sample alone.
#[derive(Clone, Debug)]
pub struct GradInputPlan {
    shape: ConvShape,
    method: Method,
    /// Whether no tap reaches some pixels.
    has_gaps: bool,
}

/// Weights in the layout of one [`GradInputPlan`].
pub struct PackedGradWeights(Vec<Aligned<f32>>);

impl GradInputPlan {
    /// Chooses the algorithm; `shape` is that of the forward convolution.
    ///
    /// # Errors
    /// No convolution has this shape.
    pub fn new(shape: &ConvShape, isa: Isa) -> Result<Self, ConvError> {
        shape.check()?;
        let mut has_gaps = false;
        let method = match transposed(shape) {
            Some(transposed) if Depthwise::fits(&transposed) => {
                Method::Depthwise(Depthwise::new(&transposed, isa))
            }
            Some(transposed) if Winograd::pays(&transposed, 1.0) => {
                Method::Winograd(Winograd::new(&transposed, isa))
            }
            _ => {
                let phases = phases(&groups::join(shape), isa);
                has_gaps = phases.len() < shape.stride[0] * shape.stride[1];
                Method::Phases(phases)
            }
        };
        Ok(Self { shape: shape.clone(), method, has_gaps })
    }

    /// Packs the canonical weights.
    ///
    /// # Errors
    /// There are not as many as the shape says, or there is no memory.
    pub fn pack(&self, weights: &[f32]) -> Result<PackedGradWeights, ConvError> {
        check_len("weights", self.shape.weight_len(), weights.len())?;
        let canonical = Canonical::new(weights, &self.shape, Direction::Transposed);
        let threads = if weights.len() < 50_000 { 1 } else { phynexus_runtime::threads() };
        let packed = match &self.method {
            Method::Winograd(winograd) => vec![winograd.pack(canonical, Direction::Transposed, threads)?],
            Method::Depthwise(depthwise) => vec![depthwise.pack(weights, Direction::Transposed)?],
            Method::Phases(phases) => phases
                .iter()
                .map(|phase| {
                    phase.direct.pack(
                        canonical,
                        |tap| phase.slots[tap],
                        (|weight| weight, Float::<f32>::DEPTH),
                        threads,
                    )
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(PackedGradWeights(packed))
    }

    /// Computes the gradient of `batch` samples, from blocked to blocked, on at most `threads` threads of the pool;
    /// `addend` is added to it.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory for work in progress.
    ///
    /// # Panics
    /// If the weights were packed for another convolution.
    pub fn run(
        &self,
        batch: usize,
        grad: &[f32],
        weights: &PackedGradWeights,
        grad_input: &mut [f32],
        addend: Option<&[f32]>,
        threads: usize,
    ) -> Result<(), ConvError> {
        let shape = self.shape.with_batch(batch);
        check_len("gradient of the output", shape.out_blocked_len(), grad.len())?;
        check_len("gradient of the input", shape.in_blocked_len(), grad_input.len())?;
        if let Some(addend) = addend {
            check_len("addend", shape.in_blocked_len(), addend.len())?;
        }
        if batch == 0 {
            return Ok(());
        }
        if self.has_gaps {
            fill(grad_input, addend, threads);
        }
        let null = std::ptr::null();
        let epilogue =
            RawEpilogue { bias: null, residual: addend.map_or(null, <[f32]>::as_ptr), relu: false };
        let (x, y) = (grad.as_ptr(), grad_input.as_mut_ptr());
        // SAFETY: the lengths are checked, and the destination is borrowed by nobody else.
        unsafe {
            match &self.method {
                Method::Winograd(winograd) => winograd.run(batch, x, &weights.0[0], y, epilogue, threads)?,
                Method::Depthwise(depthwise) => {
                    depthwise.run(batch, x, &weights.0[0], y, epilogue, threads)?
                }
                Method::Phases(phases) => {
                    assert_eq!(phases.len(), weights.0.len(), "weights packed for this gradient");
                    for (phase, weights) in phases.iter().zip(&weights.0) {
                        phase.direct.run::<Float<f32>>(batch, x, 0.0, weights, y, epilogue, threads)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The convolution without stride that is the gradient of one without stride, if its padding is not negative.
fn transposed(shape: &ConvShape) -> Option<ConvShape> {
    let pad = |axis: usize| {
        let most = shape.reach(axis) - 1;
        let (low, high) = shape.padding[axis];
        Some((most.checked_sub(low)?, most.checked_sub(high)?))
    };
    if shape.stride != [1, 1] {
        return None;
    }
    Some(ConvShape {
        in_channels: shape.out_channels,
        out_channels: shape.in_channels,
        in_size: shape.out_size(),
        padding: [pad(0)?, pad(1)?],
        ..shape.clone()
    })
}

/// For pixels `phase`, `phase + stride`, … of an axis: the taps that reach them, each with the distance of the output
/// pixel that it belongs to.
fn reaching(shape: &ConvShape, axis: usize, phase: usize) -> Vec<(usize, isize)> {
    let stride = shape.stride[axis] as isize;
    (0..shape.kernel[axis])
        .map(|tap| (tap, phase as isize - shape.tap_offset(axis, tap)))
        .filter(|(_, distance)| distance.rem_euclid(stride) == 0)
        .map(|(tap, distance)| (tap, distance.div_euclid(stride)))
        .collect()
}

/// The convolutions for all phases that any tap reaches; the channels of each group fill whole blocks.
fn phases(shape: &ConvShape, isa: Isa) -> Vec<Phase> {
    let mut phases = Vec::new();
    for (top, left) in (0..shape.stride[0]).flat_map(|top| (0..shape.stride[1]).map(move |left| (top, left)))
    {
        let (rows, columns) = (reaching(shape, 0, top), reaching(shape, 1, left));
        let grid = [(0, top), (1, left)]
            .map(|(axis, phase)| shape.in_size[axis].saturating_sub(phase).div_ceil(shape.stride[axis]));
        if rows.is_empty() || columns.is_empty() {
            continue;
        }
        let mut slots = vec![None; shape.taps()];
        let mut taps = Vec::new();
        for &(row_tap, row) in &rows {
            for &(column_tap, column) in &columns {
                slots[row_tap * shape.kernel[1] + column_tap] = Some(taps.len());
                taps.push([row, column]);
            }
        }
        let placement = Placement { size: shape.in_size, step: shape.stride, origin: [top, left] };
        let channels = [shape.group_out(), shape.group_in()];
        let direct = Direct::new(shape, isa, shape.out_size(), [1, 1], taps, grid, placement, channels);
        phases.push(Phase { direct, slots });
    }
    phases
}

/// Fills with the addend or zeros.
fn fill(to: &mut [f32], addend: Option<&[f32]>, threads: usize) {
    const PIECE: usize = 4096 * LANES;
    let shared = Shared::new(to.as_mut_ptr());
    let len = to.len();
    for_each(threads, len.div_ceil(PIECE), |task| {
        let range = task * PIECE..((task + 1) * PIECE).min(len);
        // SAFETY: the piece lies within the slice, and is no other task's.
        let piece = unsafe { std::slice::from_raw_parts_mut(shared.get().add(range.start), range.len()) };
        match addend {
            Some(addend) => piece.copy_from_slice(&addend[range]),
            None => piece.fill(0.0),
        }
    });
}
