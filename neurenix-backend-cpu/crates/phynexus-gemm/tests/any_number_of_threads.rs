//! Results do not depend on the number of threads. One test: the number is the process's.

mod support;

use half::bf16;
use phynexus_gemm::{
    Batch, Bf16Epilogue, Bf16Out, Epilogue, Int8Out, MatMut, MatRef, PackedB, PackedBf16, PackedInt8, gemm,
    gemm_bf16, gemm_int8, gemm_packed, matmul,
};
use phynexus_runtime::set_threads;
use support::Random;

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut random = Random::new(21);
    for (m, n, k) in [(1, 3000, 700), (2, 900, 900), (16, 512, 1000), (300, 301, 299), (700, 130, 2100)] {
        let (a, b) = (random.floats(m * k), random.floats(k * n));
        let halves = |x: &[f32]| x.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>();
        let (a_halves, b_halves) = (halves(&a), halves(&b));
        let bytes: Vec<_> = a.iter().map(|x| (x * 99.0 + 100.0) as u8).collect();
        let weights: Vec<_> = b.iter().map(|x| (x * 99.0) as i8).collect();
        let all = || {
            let left = MatRef::new(&a, m, k);
            let mut results = Vec::new();
            for right in [MatRef::new(&b, k, n), MatRef::new(&b, n, k).t()] {
                let mut c = vec![0.0; m * n];
                gemm(left, right, MatMut::new(&mut c, m, n), &Epilogue::NONE);
                results.push(c.clone());
                gemm_packed(left, &PackedB::new(right), MatMut::new(&mut c, m, n), &Epilogue::ACCUMULATE);
                results.push(c);
            }
            // Batches of single rows.
            let (a_strides, c_strides) = ([k as isize], [n as isize]);
            let batch = Batch { dims: &[m], a: &a_strides, b: &[0], c: &c_strides };
            let mut c = vec![0.0; m * n];
            // SAFETY: the buffers hold the whole batch.
            unsafe {
                let (left, right) = (MatRef::new(&a, 1, k), MatRef::new(&b, k, n));
                matmul(batch, left, right, MatMut::new(&mut c, 1, n), &Epilogue::NONE);
            }
            results.push(c.clone());
            let packed = PackedBf16::new(MatRef::new(&b_halves, k, n));
            let out = Bf16Out::F32(MatMut::new(&mut c, m, n));
            gemm_bf16(MatRef::new(&a_halves, m, k), &packed, out, &Bf16Epilogue::default());
            results.push(c);
            let packed = PackedInt8::new(MatRef::new(&weights, k, n));
            let mut sums = vec![0; m * n];
            gemm_int8(MatRef::new(&bytes, m, k), &packed, Int8Out::Sums(MatMut::new(&mut sums, m, n)));
            (results, sums)
        };
        set_threads(1).unwrap();
        let one = all();
        for threads in [2, 3, 5] {
            set_threads(threads).unwrap();
            assert!(all() == one, "{m}x{k}x{n} on {threads} threads");
        }
    }
}
