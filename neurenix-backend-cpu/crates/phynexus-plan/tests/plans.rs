//! Small programs, compiled and run.

use phynexus_kernels::{Axes, DType, TensorMut, TensorRef};
use phynexus_plan::{
    Attribute, Attributes, Native, Node, Origin, Plan, Program, Registry, RunError, Storage, Value, ValueId,
};

/// A program of dense tensors in the making.
struct Maker {
    program: Program,
}

impl Maker {
    fn new() -> Self {
        Self { program: Program { name: "test".to_owned(), ..Program::default() } }
    }

    fn value(&mut self, dtype: DType, sizes: &[usize], origin: Origin, constant: bool) -> ValueId {
        let axes = Axes::dense(sizes).unwrap();
        let bytes = axes.count() * dtype.size();
        self.program.storages.push(Storage { origin, bytes, constant });
        let (storage, name) = (self.program.storages.len() - 1, format!("v{}", self.program.values.len()));
        self.program.values.push(Value { dtype, axes, offset: 0, storage, name });
        self.program.values.len() - 1
    }

    fn external(&mut self, dtype: DType, sizes: &[usize], constant: bool) -> ValueId {
        self.program.externals += 1;
        let origin = Origin::External(self.program.externals - 1);
        self.value(dtype, sizes, origin, constant)
    }

    fn temporary(&mut self, dtype: DType, sizes: &[usize]) -> ValueId {
        self.value(dtype, sizes, Origin::Run, false)
    }

    fn node(&mut self, op: &str, attributes: &[(&str, Attribute)], inputs: &[ValueId], outputs: &[ValueId]) {
        let attributes: Attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.program.nodes.push(Node {
            op: op.to_owned(),
            attributes,
            inputs: inputs.iter().map(|&value| Some(value)).collect(),
            outputs: outputs.to_vec(),
            writes: Vec::new(),
            strided: true,
        });
    }

    fn compile(&self) -> Plan {
        Plan::compile(&self.program, &Native).unwrap()
    }
}

fn run(plan: &Plan, externals: &mut [&mut [f32]], changed: &[usize]) {
    let addresses: Vec<*mut u8> = externals.iter_mut().map(|values| values.as_mut_ptr().cast()).collect();
    // SAFETY: the slices are as long as the programs say.
    unsafe { plan.run(&addresses, changed) }.unwrap();
}

fn pair(first: i64, second: i64) -> Attribute {
    Attribute::List(vec![Attribute::Int(first), Attribute::Int(second)])
}

fn convolution_attributes(padding: i64) -> Vec<(&'static str, Attribute)> {
    let side = pair(padding, padding);
    vec![
        ("stride", pair(1, 1)),
        ("padding", Attribute::List(vec![side.clone(), side])),
        ("dilation", pair(1, 1)),
        ("groups", Attribute::Int(1)),
    ]
}

#[test]
fn functions_in_chains_have_the_bits_of_the_kernels() {
    let text = |value: &str| vec![("approximate", Attribute::Text(value.to_owned()))];
    let ops = [
        ("exp", vec![]),
        ("tanh", vec![]),
        ("erf", vec![]),
        ("sigmoid", vec![]),
        ("silu", vec![]),
        ("gelu", text("none")),
        ("gelu", text("tanh")),
    ];
    const COUNT: usize = 2100;
    let mut x: Vec<f32> = (0..COUNT).map(|i| (i as f32 - 1000.0) * 0.013).collect();
    x[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    for (op, attributes) in ops {
        let mut maker = Maker::new();
        let input = maker.external(DType::F32, &[COUNT], false);
        let output = maker.external(DType::F32, &[COUNT], false);
        let (less, more) = (maker.temporary(DType::F32, &[COUNT]), maker.temporary(DType::F32, &[COUNT]));
        maker.node("neg", &[], &[input], &[less]);
        maker.node(op, &attributes, &[less], &[more]);
        maker.node("neg", &[], &[more], &[output]);
        let plan = maker.compile();
        assert_eq!(plan.steps().len(), 1, "{op} is a step of its own");
        let mut found = vec![0.0; COUNT];
        run(&plan, &mut [&mut x, &mut found], &[]);

        let operation =
            Native.operation(op, &attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        let negative: Vec<f32> = x.iter().map(|x| -x).collect();
        let mut wanted = vec![0.0f32; COUNT];
        let axes = Axes::dense(&[COUNT]).unwrap();
        // SAFETY: the vectors have as many elements.
        let (from, to) = unsafe {
            (
                TensorRef::new(negative.as_ptr().cast_mut().cast(), DType::F32, axes),
                TensorMut::new(wanted.as_mut_ptr().cast(), DType::F32, axes),
            )
        };
        operation.unwrap().run(&[to], &[Some(from)]).unwrap();
        for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let same = found.to_bits() == (-wanted).to_bits() || found.is_nan() && wanted.is_nan();
            assert!(same, "{op} of {}: {found}, not {}", negative[index], -wanted);
        }
    }
}

#[test]
fn a_chain_of_elementwise_ops_is_one_step() {
    let mut maker = Maker::new();
    let (x, y, zero) = (
        maker.external(DType::F32, &[3, 700], false),
        maker.external(DType::F32, &[3, 700], false),
        maker.external(DType::F32, &[], true),
    );
    let out = maker.external(DType::F32, &[3, 700], false);
    let (sum, mask) = (maker.temporary(DType::F32, &[3, 700]), maker.temporary(DType::Bool, &[3, 700]));
    maker.node("add", &[], &[x, y], &[sum]);
    maker.node("gt", &[], &[x, zero], &[mask]);
    maker.node("where", &[], &[mask, sum, zero], &[out]);
    let plan = maker.compile();
    assert_eq!(plan.steps().len(), 1, "{}", plan.describe());
    assert_eq!(plan.arena_bytes(), 0);
    let mut a: Vec<f32> = (0..2100).map(|i| (i % 13) as f32 - 6.0).collect();
    let mut b: Vec<f32> = (0..2100).map(|i| i as f32).collect();
    let (mut zero, mut found) = ([0.0], vec![f32::NAN; 2100]);
    run(&plan, &mut [&mut a, &mut b, &mut zero, &mut found], &[]);
    for i in 0..2100 {
        assert_eq!(found[i], if a[i] > 0.0 { a[i] + b[i] } else { 0.0 });
    }
}

#[test]
fn convolutions_stay_in_blocks_and_follow_their_weights() {
    let mut maker = Maker::new();
    let x = maker.external(DType::F32, &[2, 16, 6, 6], false);
    let weight = maker.external(DType::F32, &[16, 16, 1, 1], true);
    let out = maker.external(DType::F32, &[2, 16, 6, 6], false);
    let planes = [2, 16, 6, 6];
    let (conv, sum, hidden) = (
        maker.temporary(DType::F32, &planes),
        maker.temporary(DType::F32, &planes),
        maker.temporary(DType::F32, &planes),
    );
    let attributes = convolution_attributes(0);
    maker.node("conv2d", &attributes, &[x, weight], &[conv]);
    maker.node("add", &[], &[conv, x], &[sum]);
    maker.node("relu", &[], &[sum], &[hidden]);
    maker.node("conv2d", &attributes, &[hidden, weight], &[out]);
    for node in &mut maker.program.nodes {
        if node.op == "conv2d" {
            node.inputs.push(None);
        }
    }
    let plan = maker.compile();
    let labels: Vec<&str> = plan.steps().map(|(label, _)| label).collect();
    assert_eq!(labels.len(), 4, "{labels:?}");
    assert_eq!(labels[0], "to blocks");
    assert!(labels[1].starts_with("conv2d+add+relu"), "{labels:?}");
    assert_eq!(labels[3], "from blocks");
    assert_eq!(plan.packed_externals(), [1]);

    let mut a: Vec<f32> = (0..2 * 16 * 36).map(|i| (i % 7) as f32 - 3.0).collect();
    let mut found = vec![f32::NAN; a.len()];
    for (factor, changed) in [(2.0f32, &[][..]), (-3.0, &[1][..])] {
        // The weights are a multiple of the identity.
        let mut w: Vec<f32> = (0..256).map(|i| if i % 17 == 0 { factor } else { 0.0 }).collect();
        run(&plan, &mut [&mut a, &mut w, &mut found], changed);
        for (&x, &found) in a.iter().zip(&found) {
            assert_eq!(found, ((factor + 1.0) * x).max(0.0) * factor);
        }
    }
}

#[test]
fn an_op_that_there_is_not_is_named_with_its_shapes() {
    let mut maker = Maker::new();
    let x = maker.external(DType::F32, &[3, 7], false);
    let out = maker.external(DType::F32, &[3, 7], false);
    maker.node("frobnicate", &[], &[x], &[out]);
    let error = Plan::compile(&maker.program, &Native).unwrap_err();
    assert!(error.to_string().contains("frobnicate(v0: float32[3, 7])"), "{error}");
}

#[test]
fn a_wrong_number_of_addresses_is_an_error() {
    let mut maker = Maker::new();
    let x = maker.external(DType::F32, &[4], false);
    let out = maker.external(DType::F32, &[4], false);
    maker.node("neg", &[], &[x], &[out]);
    let plan = maker.compile();
    // SAFETY: nothing is read.
    let error = unsafe { plan.run(&[], &[]) }.unwrap_err();
    assert_eq!(error, RunError::Externals { expected: 2, given: 0 });
}

#[test]
fn what_is_read_before_a_write_in_place_stays_before_it() {
    let mut maker = Maker::new();
    let state = maker.external(DType::F32, &[4], false);
    let one = maker.external(DType::F32, &[], true);
    let old = maker.external(DType::F32, &[4], false);
    // `old = -state` comes first in the program, although it could be fused with what follows.
    let more = maker.temporary(DType::F32, &[4]);
    maker.node("neg", &[], &[state], &[old]);
    maker.node("add", &[], &[state, one], &[more]);
    let storage = maker.program.values[state].storage;
    let axes = Axes::dense(&[4]).unwrap();
    let name = "written".to_owned();
    maker.program.values.push(Value { dtype: DType::F32, axes, offset: 0, storage, name });
    let written = maker.program.values.len() - 1;
    let attributes = [
        ("starts", Attribute::List(vec![Attribute::Int(0)])),
        ("steps", Attribute::List(vec![Attribute::Int(1)])),
    ];
    maker.node("assign", &attributes, &[state, more], &[written]);
    maker.program.nodes[2].writes = vec![storage];
    let plan = maker.compile();
    let (mut state, mut one, mut old) = ([1.0, 2.0, 3.0, 4.0], [1.0], [0.0; 4]);
    for turn in 0..3 {
        run(&plan, &mut [&mut state, &mut one, &mut old], &[]);
        let before = turn as f32;
        assert_eq!(old, [-1.0 - before, -2.0 - before, -3.0 - before, -4.0 - before]);
        assert_eq!(state, [2.0 + before, 3.0 + before, 4.0 + before, 5.0 + before]);
    }
}
