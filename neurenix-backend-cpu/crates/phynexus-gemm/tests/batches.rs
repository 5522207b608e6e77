//! Batches of products agree with the products one by one.

mod support;

use phynexus_gemm::{Batch, Epilogue, MatMut, MatRef, gemm, matmul};
use support::Random;

/// A batch of `dims` with dense matrices, an operand broadcast where its extent is 1.
fn check(dims: &[usize], a_dims: &[usize], b_dims: &[usize], (m, n, k): (usize, usize, usize)) {
    let mut random = Random::new(dims.iter().sum::<usize>() as u64 + 7);
    let strides = |own: &[usize], size: usize| {
        let mut strides = vec![0; own.len()];
        let mut stride = size;
        for (i, &many) in own.iter().enumerate().rev() {
            strides[i] = if many == 1 { 0 } else { stride as isize };
            stride *= many;
        }
        (strides, stride)
    };
    let (a_strides, a_len) = strides(a_dims, m * k);
    let (b_strides, b_len) = strides(b_dims, k * n);
    let (c_strides, c_len) = strides(dims, m * n);
    let (a, b) = (random.floats(a_len), random.floats(b_len));
    let mut c = vec![f32::NAN; c_len.max(m * n)];
    let batch = Batch { dims, a: &a_strides, b: &b_strides, c: &c_strides };
    // SAFETY: the buffers hold the whole batch.
    unsafe {
        matmul(
            batch,
            MatRef::new(&a, m, k),
            MatRef::new(&b, k, n),
            MatMut::new(&mut c, m, n),
            &Epilogue::NONE,
        );
    }

    let count: usize = dims.iter().product();
    for index in 0..count {
        let (mut rest, mut at) = (index, [0isize; 3]);
        for (axis, &many) in dims.iter().enumerate().rev() {
            let i = (rest % many) as isize;
            rest /= many;
            at[0] += i * a_strides[axis];
            at[1] += i * b_strides[axis];
            at[2] += i * c_strides[axis];
        }
        let mut one = vec![0.0; m * n];
        let a = MatRef::new(&a[at[0] as usize..], m, k);
        let b = MatRef::new(&b[at[1] as usize..], k, n);
        gemm(a, b, MatMut::new(&mut one, m, n), &Epilogue::NONE);
        let from = at[2] as usize;
        assert_eq!(one, c[from..from + m * n], "{dims:?} {m}x{k}x{n}, product {index}");
    }
}

#[test]
fn attention() {
    check(&[2, 12], &[2, 12], &[2, 12], (37, 37, 64));
    check(&[30], &[30], &[30], (128, 128, 32));
}

#[test]
fn operands_are_broadcast() {
    check(&[3, 4], &[1, 4], &[3, 1], (5, 6, 7));
    check(&[5], &[5], &[1], (9, 20, 33));
    check(&[5], &[1], &[5], (9, 20, 33));
    check(&[4, 3, 2], &[4, 1, 2], &[1, 3, 1], (3, 40, 11));
    check(&[2, 3], &[2, 3], &[1, 1], (150, 200, 90));
}

#[test]
fn empty_and_single() {
    check(&[], &[], &[], (3, 4, 5));
    check(&[0, 3], &[1, 3], &[1, 1], (3, 4, 5));
    check(&[1, 1], &[1, 1], &[1, 1], (20, 4, 0));
    check(&[4], &[4], &[4], (0, 4, 5));
}
