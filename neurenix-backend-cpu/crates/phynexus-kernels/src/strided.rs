//! Moving blocks of elements between memory of any strides; only their width in bytes matters.

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

/// A matrix in memory: its first element and its steps in bytes.
#[derive(Clone, Copy)]
pub struct Grid {
    /// The first element.
    pub data: *mut u8,
    /// The step from row to row.
    pub row: isize,
    /// The step from column to column.
    pub col: isize,
}

/// Copies `rows` by `cols` elements of `width` bytes.
///
/// # Safety
/// The elements of `from` are valid for reads, those of `to` for writes, and they do not overlap.
pub unsafe fn copy_block(width: usize, to: Grid, from: Grid, rows: usize, cols: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        match width {
            1 => copy_elements::<u8>(to, from, rows, cols),
            2 => copy_elements::<u16>(to, from, rows, cols),
            4 => copy_elements::<u32>(to, from, rows, cols),
            8 => copy_elements::<u64>(to, from, rows, cols),
            _ => unreachable!("no dtype has {width} bytes"),
        }
    }
}

#[inline]
unsafe fn copy_elements<T: Copy>(to: Grid, from: Grid, rows: usize, cols: usize) {
    let width = size_of::<T>() as isize;
    if to.col == width && from.col == width {
        for row in 0..rows as isize {
            let (source, target) =
                (from.data.wrapping_offset(row * from.row), to.data.wrapping_offset(row * to.row));
            // SAFETY: a row of each, which do not overlap.
            unsafe { copy_row::<T>(target.cast(), source.cast(), cols) };
        }
    } else if to.col == width && from.col == 0 {
        for row in 0..rows as isize {
            // SAFETY: an element of the one, and a row of the other.
            unsafe {
                let value = from.data.wrapping_offset(row * from.row).cast::<T>().read_unaligned();
                let target = to.data.wrapping_offset(row * to.row).cast::<T>();
                for col in 0..cols {
                    target.add(col).write_unaligned(value);
                }
            }
        }
    } else if to.col == width && from.row == width {
        // SAFETY: as the caller vouches.
        unsafe { turn::<T>(to, from, rows, cols) };
    } else if to.row == width && from.col == width {
        let swap = |grid: Grid| Grid { row: grid.col, col: grid.row, ..grid };
        // SAFETY: the same elements, with rows for columns.
        unsafe { turn::<T>(swap(to), swap(from), cols, rows) };
    } else {
        for row in 0..rows as isize {
            let (source, target) =
                (from.data.wrapping_offset(row * from.row), to.data.wrapping_offset(row * to.row));
            for col in 0..cols as isize {
                // SAFETY: an element of each.
                unsafe {
                    let value = source.wrapping_offset(col * from.col).cast::<T>().read_unaligned();
                    target.wrapping_offset(col * to.col).cast::<T>().write_unaligned(value);
                }
            }
        }
    }
}

/// Copies a few elements one by one, and many as bytes.
#[inline]
unsafe fn copy_row<T: Copy>(to: *mut T, from: *const T, count: usize) {
    if count * size_of::<T>() >= 64 {
        // SAFETY: as the caller vouches.
        unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), count * size_of::<T>()) };
        return;
    }
    for index in 0..count {
        // SAFETY: as the caller vouches.
        unsafe { to.add(index).write_unaligned(from.add(index).read_unaligned()) };
    }
}

/// Copies where the columns of the one are close, and the rows of the other.
unsafe fn turn<T: Copy>(to: Grid, from: Grid, rows: usize, cols: usize) {
    let (mut whole_rows, mut whole_cols) = (0, 0);
    if size_of::<T>() == 4 {
        (whole_rows, whole_cols) = (rows / LANES * LANES, cols / LANES * LANES);
        dispatch(Turn { to, from, rows: whole_rows, cols: whole_cols });
    }
    let one = |row: usize, col: usize| {
        let (row, col) = (row as isize, col as isize);
        // SAFETY: an element of each.
        unsafe {
            let source = from.data.wrapping_offset(row * from.row + col * from.col).cast::<T>();
            to.data
                .wrapping_offset(row * to.row + col * to.col)
                .cast::<T>()
                .write_unaligned(source.read_unaligned());
        }
    };
    for row in 0..whole_rows {
        for col in whole_cols..cols {
            one(row, col);
        }
    }
    // Eight rows at a time: as many lines of the source are read out before the next ones.
    for first in (whole_rows..rows).step_by(8) {
        for col in 0..cols {
            for row in first..rows.min(first + 8) {
                one(row, col);
            }
        }
    }
}

/// Turns whole squares of 16 by 16 elements of 4 bytes.
struct Turn {
    to: Grid,
    from: Grid,
    rows: usize,
    cols: usize,
}

impl Kernel for Turn {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { to, from, rows, cols } = self;
        for row in (0..rows).step_by(LANES) {
            for col in (0..cols).step_by(LANES) {
                let mut square = [s.zero(); LANES];
                for (index, line) in square.iter_mut().enumerate() {
                    let step = (col + index) as isize * from.col + row as isize * from.row;
                    // SAFETY: 16 elements of a column of the source, which lie close.
                    *line = unsafe { s.load(from.data.wrapping_offset(step).cast()) };
                }
                s.transpose(&mut square);
                for (index, line) in square.iter().enumerate() {
                    let step = (row + index) as isize * to.row + col as isize * to.col;
                    // SAFETY: 16 elements of a row of the target.
                    unsafe { s.store(to.data.wrapping_offset(step).cast(), *line) };
                }
            }
        }
    }
}
