//! Reductions of runs of elements that lie side by side: vectors along the run.

use std::marker::PhantomData;
use std::ops::Range;

use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use super::accumulate::{Accumulate, ByVectors};
use super::layout::{Axis, Layout, Nest};
use super::pairwise::Pairwise;
use crate::KernelError;

/// Vectors that are accumulated side by side, to hide the latency of additions.
const CHAINS: usize = 8;
/// Vectors of a block: 8 additions a chain.
const BLOCK: usize = 64;
/// Blocks of a subtree that a thread may do alone.
const SUBTREE: usize = 64;
/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;
/// Elements that a thread takes at once.
const TASK: usize = 1 << 14;

/// How the elements of an output are cut into blocks; of their sizes alone.
struct Blocks {
    /// Elements of a run.
    length: usize,
    /// The axes around a run.
    around: Nest,
    runs: usize,
    /// Short runs share a block; long ones have several, and this is 1.
    runs_of_block: usize,
    blocks_of_run: usize,
    count: usize,
}

impl Blocks {
    fn new(reduced: &Nest) -> Self {
        let is_close = reduced.axes().first().is_some_and(|axis| axis.x == 1);
        let (run, around) =
            if is_close { reduced.split() } else { (Axis { size: 1, x: 1, out: 0 }, *reduced) };
        let (length, runs) = (run.size, around.count());
        let vectors = length.div_ceil(LANES).max(1);
        let (runs_of_block, blocks_of_run) =
            if vectors <= BLOCK / 2 { (BLOCK / vectors, 1) } else { (1, vectors.div_ceil(BLOCK)) };
        let count = if length == 0 { 0 } else { runs.div_ceil(runs_of_block) * blocks_of_run };
        Self { length, around, runs, runs_of_block, blocks_of_run, count }
    }
}

/// Reduces; `out` and `x` are the first elements.
pub fn run<A: Accumulate>(layout: &Layout, out: *mut u8, x: *const u8) -> Result<(), KernelError> {
    let blocks = Blocks::new(&layout.reduced);
    let outputs = layout.kept.count();
    let elements = blocks.length * blocks.runs;
    let job = Job::<A> { kept: layout.kept, blocks, out, x: x.cast(), op: PhantomData };
    if outputs * elements < PARALLEL {
        job.outputs(0..outputs);
        return Ok(());
    }
    let subtrees = job.blocks.count.div_ceil(SUBTREE);
    if subtrees == 1 || outputs >= 64 {
        let group = (TASK / elements.max(1)).max(1);
        parallel_for(outputs.div_ceil(group), |task| {
            job.outputs(task * group..outputs.min((task + 1) * group));
        });
        return Ok(());
    }
    let bytes = outputs * subtrees * size_of::<[A::Total; LANES]>();
    with_scratch(bytes, |scratch| {
        let totals = Parts::<A>(scratch.cast());
        parallel_for(outputs * subtrees, |task| job.part(task, subtrees, &totals));
        for output in 0..outputs {
            job.join(output, subtrees, &totals);
        }
    })?;
    Ok(())
}

/// The lanes of subtrees, in scratch memory.
struct Parts<A: Accumulate>(*mut [A::Total; LANES]);

// SAFETY: every task writes an element of its own.
unsafe impl<A: Accumulate> Sync for Parts<A> {}

struct Job<A: Accumulate> {
    kept: Nest,
    blocks: Blocks,
    out: *mut u8,
    x: *const A::Element,
    op: PhantomData<A>,
}

// SAFETY: the input is only read, and every task writes outputs of its own.
unsafe impl<A: Accumulate> Sync for Job<A> {}

impl<A: Accumulate> Job<A> {
    fn outputs(&self, range: Range<usize>) {
        dispatch(Outputs { job: self, range });
    }

    fn part(&self, task: usize, subtrees: usize, parts: &Parts<A>) {
        let (output, subtree) = (task / subtrees, task % subtrees);
        let blocks = subtree * SUBTREE..self.blocks.count.min((subtree + 1) * SUBTREE);
        let lanes = dispatch(Subtree { job: self, output, blocks });
        // SAFETY: the task's own element of the scratch.
        unsafe { parts.0.add(task).write(lanes) };
    }

    fn join(&self, output: usize, subtrees: usize, parts: &Parts<A>) {
        // SAFETY: all tasks have written theirs.
        let parts = unsafe { std::slice::from_raw_parts(parts.0.add(output * subtrees), subtrees) };
        dispatch(Joined { job: self, output, parts });
    }

    /// A subtree of an output.
    #[inline(always)]
    fn subtree<S: Simd>(&self, s: S, x: *const A::Element, blocks: Range<usize>) -> A::Vector<S> {
        if self.blocks.runs == 1 && self.blocks.length <= LANES && blocks.len() == 1 {
            // SAFETY: all elements of the output.
            return unsafe { A::load_up_to(s, x, self.blocks.length) };
        }
        if blocks.len() == 1 {
            return self.block(s, x, blocks.start);
        }
        let by = ByVectors::<S, A>(s, PhantomData);
        let mut pairs = Pairwise::new();
        for index in blocks {
            pairs.push(self.block(s, x, index), &by);
        }
        pairs.finish(&by).unwrap_or(A::vector(s, [A::IDENTITY; LANES]))
    }

    #[inline(always)]
    fn block<S: Simd>(&self, s: S, x: *const A::Element, index: usize) -> A::Vector<S> {
        let blocks = &self.blocks;
        let mut chains = [A::vector(s, [A::IDENTITY; LANES]); CHAINS];
        if blocks.blocks_of_run == 1 {
            let first = index * blocks.runs_of_block;
            for run in first..blocks.runs.min(first + blocks.runs_of_block) {
                // SAFETY: a run of the input.
                unsafe {
                    accumulate::<S, A>(s, &mut chains, x.offset(blocks.around.offset(run).0), blocks.length)
                };
            }
        } else {
            let (run, part) = (index / blocks.blocks_of_run, index % blocks.blocks_of_run);
            let start = part * BLOCK * LANES;
            let length = (blocks.length - start).min(BLOCK * LANES);
            // SAFETY: a part of a run of the input.
            unsafe {
                let from = x.offset(blocks.around.offset(run).0).add(start);
                accumulate::<S, A>(s, &mut chains, from, length);
            }
        }
        let mut width = CHAINS / 2;
        while width > 0 {
            for chain in 0..width {
                chains[chain] = A::join(s, chains[chain], chains[chain + width]);
            }
            width /= 2;
        }
        chains[0]
    }
}

/// Adds a run to the chains: vector i to chain i modulo 8.
#[inline(always)]
unsafe fn accumulate<S: Simd, A: Accumulate>(
    s: S,
    chains: &mut [A::Vector<S>; CHAINS],
    from: *const A::Element,
    length: usize,
) {
    let mut at = 0;
    // SAFETY: the caller vouches for `length` elements.
    unsafe {
        while at + CHAINS * LANES <= length {
            for (index, chain) in chains.iter_mut().enumerate() {
                *chain = A::join(s, *chain, A::load(s, from.add(at + index * LANES)));
            }
            at += CHAINS * LANES;
        }
        for chain in chains.iter_mut() {
            if at + LANES <= length {
                *chain = A::join(s, *chain, A::load(s, from.add(at)));
                at += LANES;
            } else {
                if at < length {
                    *chain = A::join(s, *chain, A::load_first(s, from.add(at), length - at));
                }
                break;
            }
        }
    }
}

struct Outputs<'a, A: Accumulate> {
    job: &'a Job<A>,
    range: Range<usize>,
}

impl<A: Accumulate> Kernel for Outputs<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for output in self.range {
            let (x, out) = self.job.kept.offset(output);
            // SAFETY: an output, and the elements that it is reduced from.
            unsafe {
                let total = self.job.subtree(s, self.job.x.offset(x), 0..self.job.blocks.count);
                A::write(self.job.out, out, A::total(s, total));
            }
        }
    }
}

struct Subtree<'a, A: Accumulate> {
    job: &'a Job<A>,
    output: usize,
    blocks: Range<usize>,
}

impl<A: Accumulate> Kernel for Subtree<'_, A> {
    type Output = [A::Total; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [A::Total; LANES] {
        let (x, _) = self.job.kept.offset(self.output);
        // SAFETY: the first of the elements that the output is reduced from.
        let x = unsafe { self.job.x.offset(x) };
        A::lanes(s, self.job.subtree(s, x, self.blocks))
    }
}

struct Joined<'a, A: Accumulate> {
    job: &'a Job<A>,
    output: usize,
    parts: &'a [[A::Total; LANES]],
}

impl<A: Accumulate> Kernel for Joined<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let by = ByVectors::<S, A>(s, PhantomData);
        let mut pairs = Pairwise::new();
        for part in self.parts {
            pairs.push(A::vector(s, *part), &by);
        }
        let total = pairs.finish(&by).expect("at least one part");
        // SAFETY: an output.
        unsafe { A::write(self.job.out, self.job.kept.offset(self.output).1, A::total(s, total)) };
    }
}
