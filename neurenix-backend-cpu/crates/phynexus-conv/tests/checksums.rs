//! The same bits on every processor with a fused multiply-add: checksums of results, written down here.
//!
//! Who changes the order of additions on purpose writes down what the failing test prints.

mod reference;

use phynexus_conv::{Algorithm, ConvPlan, ConvShape, Epilogue, GradInputPlan, GradWeightPlan, InputLayout};
use phynexus_simd::Isa;
use reference::{Numbers, blocked};

/// FNV-1a of the bits.
fn checksum(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Runs on every instruction set with a fused multiply-add, and compares.
fn check(what: &str, expected: u64, run: impl Fn(Isa) -> Vec<f32>) {
    for isa in Isa::ALL.into_iter().filter(|&isa| isa.is_available() && isa != Isa::Portable) {
        let found = checksum(&run(isa));
        assert!(found == expected, "{what} on {isa}: {found:#018x}, expected {expected:#018x}");
    }
}

fn activations(numbers: &mut Numbers, shape: &ConvShape, layout: InputLayout) -> Vec<f32> {
    let x = numbers.fill(shape.in_len());
    match layout {
        InputLayout::Nchw => x,
        InputLayout::Blocked => blocked(shape.batch, shape.in_channels, shape.in_pixels(), &x),
    }
}

#[test]
fn forward() {
    let cases = [
        (Algorithm::First, ConvShape::square(1, (3, 40), [19, 23], 7, 2, 3), 0x6f13_ec1a_2eab_1e6f),
        (Algorithm::Direct, ConvShape::square(2, (40, 48), [9, 11], 3, 2, 1), 0xb6e1_409f_10f5_8d40),
        (Algorithm::Direct, ConvShape::square(2, (70, 33), [7, 5], 1, 1, 0), 0xe3a9_530f_3ef4_53cd),
        (Algorithm::Winograd, ConvShape::square(2, (40, 48), [9, 11], 3, 1, 1), 0xe1a5_2baa_54b6_f83b),
        (Algorithm::Winograd, ConvShape::square(1, (256, 272), [5, 6], 3, 1, 1), 0x4680_8c8e_e464_1d20),
        (
            Algorithm::Depthwise,
            ConvShape { groups: 40, ..ConvShape::square(2, (40, 40), [9, 11], 3, 1, 1) },
            0x581b_f30d_2149_ac07,
        ),
    ];
    for (algorithm, shape, expected) in cases {
        check(&format!("{algorithm:?} of {shape:?}"), expected, |isa| {
            let mut numbers = Numbers::new(8);
            let plan = ConvPlan::with_algorithm(&shape, isa, algorithm).unwrap();
            let x = activations(&mut numbers, &shape, plan.input_layout());
            let (weights, bias) = (numbers.fill(shape.weight_len()), numbers.fill(shape.out_channels));
            let residual = numbers.fill(shape.out_len());
            let residual = blocked(shape.batch, shape.out_channels, shape.out_pixels(), &residual);
            let weights = plan.pack(&weights, Some(&bias)).unwrap();
            let mut y = vec![f32::NAN; plan.out_len(shape.batch)];
            let epilogue = Epilogue { residual: Some(&residual), relu: true };
            plan.run(shape.batch, &x, &weights, &mut y, epilogue, 2).unwrap();
            y
        });
    }
}

#[test]
fn gradients() {
    let cases = [
        (ConvShape::square(3, (3, 40), [19, 23], 7, 2, 3), 0xfb90_d889_8c06_d969, 0x483b_6c49_24f8_b8ff),
        (ConvShape::square(3, (40, 48), [9, 11], 3, 2, 1), 0xe134_effc_4b34_e6f0, 0xf9c0_29f2_d8aa_94b4),
        (ConvShape::square(3, (40, 48), [9, 11], 3, 1, 1), 0x591f_22a2_7ea8_a45e, 0xea18_2d06_56f4_418e),
        (
            ConvShape { groups: 40, ..ConvShape::square(3, (40, 40), [9, 11], 3, 1, 1) },
            0x09f1_8a95_48df_e269,
            0x094c_52ec_84b0_fb35,
        ),
    ];
    for (shape, of_input, of_weight) in cases {
        let grad = Numbers::new(9).fill(shape.out_len());
        let grad = blocked(shape.batch, shape.out_channels, shape.out_pixels(), &grad);
        check(&format!("the gradient to the input of {shape:?}"), of_input, |isa| {
            let plan = GradInputPlan::new(&shape, isa).unwrap();
            let weights = plan.pack(&Numbers::new(10).fill(shape.weight_len())).unwrap();
            let mut grad_input = vec![f32::NAN; shape.in_blocked_len()];
            plan.run(shape.batch, &grad, &weights, &mut grad_input, None, 2).unwrap();
            grad_input
        });
        check(&format!("the gradient to the weight of {shape:?}"), of_weight, |isa| {
            let plan = GradWeightPlan::new(&shape, isa).unwrap();
            let x = activations(&mut Numbers::new(11), &shape, plan.input_layout());
            let mut grad_weight = vec![f32::NAN; shape.weight_len()];
            plan.run(shape.batch, &x, &grad, &mut grad_weight, false, 2).unwrap();
            grad_weight
        });
    }
}
