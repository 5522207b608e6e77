//! The same bits on every processor with a fused multiply-add: checksums of results, written down here.
//!
//! Who changes the order of additions on purpose writes down what the failing test prints.

use phynexus_kernels::batch_norm::BatchNormTrain;
use phynexus_kernels::cross_entropy::SoftmaxCrossEntropy;
use phynexus_kernels::elementwise::Unary;
use phynexus_kernels::gelu::Gelu;
use phynexus_kernels::layer_norm::LayerNorm;
use phynexus_kernels::layer_norm_backward::LayerNormBackward;
use phynexus_kernels::optimizer::AdamStep;
use phynexus_kernels::reduce::{Reduce, Reduction};
use phynexus_kernels::softmax::{LogSoftmax, Softmax, SoftmaxBackward};
use phynexus_kernels::{DType, Operation};
use phynexus_simd::Isa;

use crate::support::{Array, Meta, Rng, run};

/// FNV-1a of the bits of all outputs.
fn checksum(outputs: &[Array]) -> u64 {
    let bytes = outputs.iter().flat_map(Array::bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `run` compares the instruction sets of this processor; this one compares processors.
fn check(expected: u64, op: &dyn Operation, metas: &[Meta<'_>], inputs: &[Option<&Array>]) {
    let found = checksum(&run(op, metas, inputs));
    if Isa::best() != Isa::Portable {
        assert!(found == expected, "{op:?}: {found:#018x}, expected {expected:#018x}");
    }
}

const F32: DType = DType::F32;

#[test]
fn functions_of_one_element() {
    let mut rng = Rng::new(31);
    let x = Array::random(&mut rng, F32, &[1003]);
    let positive = Array::new(F32, &[1003], x.values().into_iter().map(|x| x.abs() + 0.01));
    let cases: [(&dyn Operation, u64); 11] = [
        (&Unary::Exp, 0x906e_0fda_e91c_96ba),
        (&Unary::Log, 0xffc9_3413_1b25_72c2),
        (&Unary::Sqrt, 0x6bb1_7f33_f34f_2887),
        (&Unary::Sin, 0x8def_9063_4d86_716a),
        (&Unary::Cos, 0x1358_e70a_27e9_b9f2),
        (&Unary::Tanh, 0xe544_b227_2cda_9509),
        (&Unary::Erf, 0x9706_b118_0398_6bfc),
        (&Unary::Sigmoid, 0x6001_9d22_a631_f84d),
        (&Unary::Silu, 0x4c62_8301_79ae_dd83),
        (&Gelu { by_tanh: false }, 0x1075_65a8_c394_38b3),
        (&Gelu { by_tanh: true }, 0x4531_9b35_8831_81b2),
    ];
    for (op, expected) in cases {
        let x = if matches!(op.name(), "log" | "sqrt") { &positive } else { &x };
        check(expected, op, &[(F32, &[1003])], &[Some(x)]);
    }
}

#[test]
fn rows_and_reductions() {
    let mut rng = Rng::new(32);
    let sizes = [7, 133];
    let (x, grad) = (Array::random(&mut rng, F32, &sizes), Array::random(&mut rng, F32, &sizes));
    let (weight, bias) = (Array::random(&mut rng, F32, &[133]), Array::random(&mut rng, F32, &[133]));
    let whole = [(F32, &sizes[..])];
    check(0xf571_ea94_dafd_fa51, &Softmax { axis: 1 }, &whole, &[Some(&x)]);
    check(0xc7b8_5bb1_71bc_361b, &LogSoftmax { axis: 0 }, &whole, &[Some(&x)]);
    check(0x4752_b2eb_c5c3_519c, &SoftmaxBackward { axis: 1 }, &whole, &[Some(&grad), Some(&x)]);
    for (axes, kept, expected) in
        [(1, 133, 0xc394_a695_4e84_e401), (2, 7, 0x442b_6915_bc77_563e), (3, 1, 0x26b4_9479_bcee_465a)]
    {
        let op = Reduce { reduction: Reduction::Sum, axes };
        let sizes: &[usize] = if axes == 3 { &[] } else { &[kept] };
        check(expected, &op, &[(F32, sizes)], &[Some(&x)]);
    }
    let metas = [(F32, &sizes[..]), (F32, &sizes[..1]), (F32, &sizes[..1])];
    check(
        0xf0c2_4953_c273_982d,
        &LayerNorm { axes: 1, eps: 1e-5 },
        &metas,
        &[Some(&x), Some(&weight), Some(&bias)],
    );
    let statistics = [Array::random(&mut rng, F32, &[7]), Array::random(&mut rng, F32, &[7])];
    let metas = [(F32, &sizes[..]), (F32, &sizes[1..]), (F32, &sizes[1..])];
    let inputs = [Some(&grad), Some(&x), Some(&weight), Some(&statistics[0]), Some(&statistics[1])];
    check(0x1808_b7dc_5ad7_9a20, &LayerNormBackward { axes: 1 }, &metas, &inputs);
    let target = Array::new(DType::I64, &[7], (0..7).map(|row| f64::from(row * 17)));
    check(
        0x1f0c_2d52_9768_3eb0,
        &SoftmaxCrossEntropy,
        &[(F32, &sizes[..1]), (F32, &sizes)],
        &[Some(&x), Some(&target)],
    );
}

#[test]
fn training() {
    let mut rng = Rng::new(33);
    let sizes = [5, 19, 6, 7];
    let x = Array::random(&mut rng, F32, &sizes);
    let (weight, bias) = (Array::random(&mut rng, F32, &[19]), Array::random(&mut rng, F32, &[19]));
    let statistic = (F32, &sizes[1..2]);
    let metas = [(F32, &sizes[..]), statistic, statistic, statistic];
    check(
        0xe3b5_ccbe_af7b_757f,
        &BatchNormTrain { eps: 1e-5 },
        &metas,
        &[Some(&x), Some(&weight), Some(&bias)],
    );

    let arrays: Vec<Array> = (0..3).map(|_| Array::random(&mut rng, F32, &[1003])).collect();
    let squares = Array::new(F32, &[1003], arrays[2].values().into_iter().map(|x| x * x));
    let number = |x| Array::new(F32, &[], [x]);
    let op = AdamStep { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.25, decoupled: true };
    let (lr, step) = (number(0.125), number(3.0));
    let inputs =
        [Some(&arrays[0]), Some(&arrays[1]), Some(&arrays[2]), Some(&squares), Some(&lr), Some(&step)];
    check(0xe83a_4d48_c6b6_4f23, &op, &[(F32, &[1003]), (F32, &[1003]), (F32, &[1003])], &inputs);
}
