//! Reductions across rows whose elements lie side by side and stay: vectors of columns.

use std::marker::PhantomData;
use std::ops::Range;

use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use super::accumulate::{Accumulate, ByVectors};
use super::layout::{Axis, Layout, Nest};
use super::pairwise::Joins;
use crate::KernelError;

/// Vectors of columns that are worked on at a time: their sums stay in the first cache.
const VECTORS: usize = 32;
/// Rows of a block.
const BLOCK: usize = 64;
/// Blocks of a subtree that a thread may do alone.
const SUBTREE: usize = 64;
/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;
/// Levels of the tree of blocks.
const LEVELS: usize = 48;
/// The longest vector, in bytes.
const WIDEST: usize = 8 * LANES;

/// Reduces; `out` and `x` are the first elements.
pub fn run<A: Accumulate>(layout: &Layout, out: *mut u8, x: *const u8) -> Result<(), KernelError> {
    let (columns, around) = layout.kept.split();
    let rows = layout.reduced.count();
    let subtrees = rows.div_ceil(BLOCK * SUBTREE).max(1);
    let strips = columns.size.div_ceil(VECTORS * LANES);
    let tasks = around.count() * strips;
    let job =
        Job::<A> { columns, strips, around, reduced: layout.reduced, out, x: x.cast(), op: PhantomData };
    let bytes = LEVELS.min(levels(rows)) * VECTORS * WIDEST;
    let is_small = tasks * rows * columns.size.min(VECTORS * LANES) < PARALLEL;
    if is_small || subtrees == 1 || tasks >= 16 {
        let all = |task: usize| {
            // The scratch only grows: if this fails, so did nothing yet.
            with_scratch(bytes, |scratch| job.strip(task, 0..rows, Target::Output, scratch))
        };
        if is_small {
            return (0..tasks).try_for_each(all).map_err(Into::into);
        }
        let failed = std::sync::Mutex::new(None);
        parallel_for(tasks, |task| {
            if let Err(error) = all(task) {
                *failed.lock().unwrap() = Some(error);
            }
        });
        return failed.into_inner().unwrap().map_or(Ok(()), |error| Err(error.into()));
    }
    let part_bytes = VECTORS * WIDEST;
    with_scratch(tasks * subtrees * part_bytes, |parts| {
        let parts = Parts(parts);
        let failed = std::sync::Mutex::new(None);
        parallel_for(tasks * subtrees, |index| {
            let (task, subtree) = (index / subtrees, index % subtrees);
            let range = subtree * BLOCK * SUBTREE..rows.min((subtree + 1) * BLOCK * SUBTREE);
            let target = Target::Part(parts.at(index * part_bytes));
            if let Err(error) = with_scratch(bytes, |scratch| job.strip(task, range.clone(), target, scratch))
            {
                *failed.lock().unwrap() = Some(error);
            }
        });
        if let Some(error) = failed.into_inner().unwrap() {
            return Err(error.into());
        }
        let bytes = LEVELS * part_bytes;
        (0..tasks).try_for_each(|task| {
            with_scratch(bytes, |scratch| {
                job.join(task, parts.at(task * subtrees * part_bytes), subtrees, scratch)
            })
        })?;
        Ok(())
    })?
}

/// How many levels a tree of the blocks of so many rows has.
fn levels(rows: usize) -> usize {
    (rows.div_ceil(BLOCK).max(1).ilog2() + 2) as usize
}

#[derive(Clone, Copy)]
struct Parts(*mut u8);

// SAFETY: every task writes a part of its own.
unsafe impl Sync for Parts {}

impl Parts {
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}

/// Where the sums of columns go.
#[derive(Clone, Copy)]
enum Target {
    Output,
    /// A part of a tree: vectors.
    Part(*mut u8),
}

struct Job<A: Accumulate> {
    /// The axis whose elements lie side by side.
    columns: Axis,
    /// Parts of it.
    strips: usize,
    /// The other axes that stay.
    around: Nest,
    reduced: Nest,
    out: *mut u8,
    x: *const A::Element,
    op: PhantomData<A>,
}

// SAFETY: the input is only read, and every task writes outputs of its own.
unsafe impl<A: Accumulate> Sync for Job<A> {}

impl<A: Accumulate> Job<A> {
    fn strip(&self, task: usize, rows: Range<usize>, target: Target, scratch: *mut u8) {
        dispatch(Strip { job: self, task, rows, target, scratch });
    }

    fn join(&self, task: usize, parts: *const u8, count: usize, scratch: *mut u8) {
        dispatch(Joined { job: self, task, parts, count, scratch });
    }

    /// Where a strip starts in the input and in the output, and how many columns it has.
    #[inline(always)]
    fn place(&self, task: usize) -> (isize, isize, usize) {
        let (x, out) = self.around.offset(task / self.strips);
        let start = task % self.strips * VECTORS * LANES;
        let columns = (self.columns.size - start).min(VECTORS * LANES);
        (x + start as isize, out + start as isize * self.columns.out, columns)
    }

    #[inline(always)]
    unsafe fn write<S: Simd>(&self, s: S, vectors: *const A::Vector<S>, out: isize, columns: usize) {
        for first in (0..columns).step_by(LANES) {
            // SAFETY: as the caller vouches.
            let lanes = A::lanes(s, unsafe { *vectors.add(first / LANES) });
            for (lane, &total) in lanes.iter().enumerate().take(columns - first) {
                // SAFETY: an output of the strip.
                unsafe { A::write(self.out, out + (first + lane) as isize * self.columns.out, total) };
            }
        }
    }
}

/// Sums of blocks that wait to be joined with as large ones: vectors of a strip a level.
struct Tree<V> {
    levels: *mut V,
    used: usize,
    count: u64,
}

impl<V: Copy> Tree<V> {
    /// Where the sums of the next block go.
    #[inline(always)]
    fn next(&self) -> *mut V {
        self.levels.wrapping_add(self.used * VECTORS)
    }

    /// Joins them with those that wait for them.
    #[inline(always)]
    unsafe fn push(&mut self, vectors: usize, by: &impl Joins<V>) {
        let mut count = self.count;
        self.used += 1;
        while count & 1 == 1 {
            // SAFETY: two levels that are in use.
            unsafe { self.join_last(vectors, by) };
            count >>= 1;
        }
        self.count += 1;
    }

    /// Joins all that is left into the first level.
    #[inline(always)]
    unsafe fn finish(&mut self, vectors: usize, by: &impl Joins<V>) {
        while self.used > 1 {
            // SAFETY: two levels that are in use.
            unsafe { self.join_last(vectors, by) };
        }
    }

    #[inline(always)]
    unsafe fn join_last(&mut self, vectors: usize, by: &impl Joins<V>) {
        self.used -= 1;
        let (left, right) = (self.levels.wrapping_add((self.used - 1) * VECTORS), self.next());
        for vector in 0..vectors {
            // SAFETY: as the caller vouches.
            unsafe { *left.add(vector) = by.join(*left.add(vector), *right.add(vector)) };
        }
    }
}

struct Strip<'a, A: Accumulate> {
    job: &'a Job<A>,
    task: usize,
    rows: Range<usize>,
    target: Target,
    scratch: *mut u8,
}

impl<A: Accumulate> Kernel for Strip<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { job, task, rows, target, scratch } = self;
        let (x, out, columns) = job.place(task);
        let vectors = columns.div_ceil(LANES);
        let by = ByVectors::<S, A>(s, PhantomData);
        let mut tree = Tree::<A::Vector<S>> { levels: scratch.cast(), used: 0, count: 0 };
        // SAFETY: the rows of the strip, and scratch for as many levels as they have.
        unsafe {
            let x = job.x.offset(x);
            let row = |index: usize| x.offset(job.reduced.offset(index).0);
            let mut first = rows.start;
            while first < rows.end || tree.count == 0 {
                let last = rows.end.min(first + BLOCK);
                let sums = tree.next();
                for vector in 0..vectors {
                    *sums.add(vector) = A::vector(s, [A::IDENTITY; LANES]);
                }
                let mut at = first;
                while at + 4 <= last {
                    add_four::<S, A>(s, sums, [row(at), row(at + 1), row(at + 2), row(at + 3)], columns);
                    at += 4;
                }
                while at < last {
                    add_one::<S, A>(s, sums, row(at), columns);
                    at += 1;
                }
                tree.push(vectors, &by);
                first = last;
            }
            tree.finish(vectors, &by);
            match target {
                Target::Output => job.write(s, tree.levels, out, columns),
                Target::Part(part) => {
                    std::ptr::copy_nonoverlapping(tree.levels, part.cast(), vectors);
                }
            }
        }
    }
}

/// Adds two pairs of rows.
#[inline(always)]
unsafe fn add_four<S: Simd, A: Accumulate>(
    s: S,
    sums: *mut A::Vector<S>,
    rows: [*const A::Element; 4],
    columns: usize,
) {
    let [a, b, c, d] = rows;
    for (vector, at) in (0..columns).step_by(LANES).enumerate() {
        let count = LANES.min(columns - at);
        // SAFETY: the caller vouches for the columns of the rows, and sums of as many.
        unsafe {
            let first = A::join(s, A::load_up_to(s, a.add(at), count), A::load_up_to(s, b.add(at), count));
            let second = A::join(s, A::load_up_to(s, c.add(at), count), A::load_up_to(s, d.add(at), count));
            *sums.add(vector) = A::join(s, *sums.add(vector), A::join(s, first, second));
        }
    }
}

/// Adds a row.
#[inline(always)]
unsafe fn add_one<S: Simd, A: Accumulate>(
    s: S,
    sums: *mut A::Vector<S>,
    row: *const A::Element,
    columns: usize,
) {
    for (vector, at) in (0..columns).step_by(LANES).enumerate() {
        let count = LANES.min(columns - at);
        // SAFETY: the caller vouches for the columns of the row, and sums of as many.
        unsafe {
            *sums.add(vector) = A::join(s, *sums.add(vector), A::load_up_to(s, row.add(at), count));
        }
    }
}

struct Joined<'a, A: Accumulate> {
    job: &'a Job<A>,
    task: usize,
    parts: *const u8,
    count: usize,
    scratch: *mut u8,
}

impl<A: Accumulate> Kernel for Joined<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { job, task, parts, count, scratch } = self;
        let (_, out, columns) = job.place(task);
        let vectors = columns.div_ceil(LANES);
        let by = ByVectors::<S, A>(s, PhantomData);
        let mut tree = Tree::<A::Vector<S>> { levels: scratch.cast(), used: 0, count: 0 };
        // SAFETY: the parts that tasks have written, and scratch for all levels.
        unsafe {
            for part in 0..count {
                let from = parts.wrapping_add(part * VECTORS * WIDEST).cast::<A::Vector<S>>();
                std::ptr::copy_nonoverlapping(from, tree.next(), vectors);
                tree.push(vectors, &by);
            }
            tree.finish(vectors, &by);
            job.write(s, tree.levels, out, columns);
        }
    }
}
