//! From a kernel and its tensors to a dispatch.

use std::sync::Arc;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::layout::{Access, Walk};
use crate::memory::Block;
use crate::recorder::{Binding, Dispatch};
use crate::shader::{Driver, Kernel, Operand, Part, Shader};
use crate::tensor::Tensor;

/// Invocations in a workgroup, where the adapter allows so many.
const WORKGROUP: u32 = 256;

/// How a kernel gets at a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It asks for the `i`-th element.
    Walked,
    /// It works out places.
    Free,
    /// It works out places of words, which several invocations may change.
    Atomic,
}

/// A dispatch in the making.
///
/// Tensors that are *walked* have the output's shape: the kernel reads their `i`-th element. Those
/// that are *free* it reads at places that it works out itself.
#[derive(Clone, Debug)]
pub struct Launch {
    kernel: &'static Kernel,
    functions: Vec<(&'static str, &'static str)>,
    parts: &'static [&'static Part],
    way: Option<&'static Part>,
    tensors: Vec<(&'static str, Tensor, Use)>,
    outputs: usize,
    places: Vec<(&'static str, Walk)>,
    scalars: Vec<u32>,
    constants: Vec<(&'static str, u32)>,
    half: bool,
    groups: [u32; 3],
    first: usize,
}

impl Launch {
    /// A launch whose first output is `out`.
    pub fn new(kernel: &'static Kernel, out: &Tensor) -> Self {
        let out_use = if kernel.driver == Driver::Own { Use::Free } else { Use::Walked };
        Self {
            kernel,
            functions: Vec::new(),
            parts: &[],
            way: None,
            tensors: vec![("out", out.clone(), out_use)],
            outputs: 1,
            places: Vec::new(),
            scalars: Vec::new(),
            constants: Vec::new(),
            half: false,
            groups: [1; 3],
            first: 0,
        }
    }

    /// Another output, which the kernel writes at places that it works out; before all inputs.
    #[must_use]
    pub fn output(mut self, name: &'static str, tensor: &Tensor) -> Self {
        debug_assert_eq!(self.outputs, self.tensors.len(), "outputs come before inputs");
        self.tensors.push((name, tensor.clone(), Use::Free));
        self.outputs += 1;
        self
    }

    /// Another output, of the shape of the first and walked with it; before all inputs.
    #[must_use]
    pub fn walked_output(mut self, name: &'static str, tensor: &Tensor) -> Self {
        self = self.output(name, tensor);
        self.tensors[self.outputs - 1].2 = Use::Walked;
        self
    }

    /// A launch of a kernel with its own `main`, whose first output is words that several invocations may
    /// change at once.
    pub fn atomic(kernel: &'static Kernel, out: &Tensor) -> Self {
        let mut launch = Self::new(kernel, out);
        launch.tensors[0].2 = Use::Atomic;
        launch
    }

    /// An input that is walked with the output; it is broadcast to its shape.
    #[must_use]
    pub fn input(mut self, name: &'static str, tensor: &Tensor) -> Self {
        let walked = tensor.broadcast(&self.tensors[0].1.shape);
        self.tensors.push((name, walked, Use::Walked));
        self
    }

    /// An input whose places the kernel works out.
    #[must_use]
    pub fn free(mut self, name: &'static str, tensor: &Tensor) -> Self {
        self.tensors.push((name, tensor.clone(), Use::Free));
        self
    }

    /// A function `NAME_place(i)`, from the number of an element in a tensor of some sizes to the
    /// sum of its coordinates times strides.
    #[must_use]
    pub fn place(mut self, name: &'static str, sizes: &[usize], strides: &[usize]) -> Self {
        let mut walked = self.tensors[0].1.clone();
        walked.shape = sizes.to_vec();
        walked.strides = strides.to_vec();
        self.places.push((name, Walk::of(&[&walked])));
        self
    }

    /// The function that stands for `FUNCTION` in the kernel, and what it needs.
    #[must_use]
    pub fn function(mut self, name: &'static str, parts: &'static [&'static Part]) -> Self {
        self.parts = parts;
        self.named("FUNCTION", name)
    }

    /// The function that stands for another word in the kernel.
    #[must_use]
    pub fn named(mut self, word: &'static str, name: &'static str) -> Self {
        self.functions.push((word, name));
        self
    }

    /// The next of the kernel's scalars.
    #[must_use]
    pub fn scalar(mut self, value: u32) -> Self {
        self.scalars.push(value);
        self
    }

    /// The next of the kernel's scalars, a size or stride.
    #[must_use]
    pub fn size(self, value: usize) -> Self {
        // Tensors reach at most 2^32 elements into their buffers: see `Tensor::new`.
        self.scalar(value as u32)
    }

    /// The next of the kernel's scalars, a float.
    #[must_use]
    pub fn float(self, value: f64) -> Self {
        self.scalar((value as f32).to_bits())
    }

    /// A number that is known when the shader is compiled.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// What the kernel needs of the way in which it is launched, besides what its function does.
    #[must_use]
    pub fn by_way(mut self, part: &'static Part) -> Self {
        self.way = Some(part);
        self
    }

    /// Lets the shader compute with float16, which the adapter has.
    #[must_use]
    pub fn with_half(mut self) -> Self {
        self.half = true;
        self
    }

    /// How many workgroups a kernel with its own `main` runs.
    #[must_use]
    pub fn groups(mut self, groups: [u32; 3]) -> Self {
        self.groups = groups;
        self
    }

    /// So many workgroups, in two dimensions where one does not hold them; the kernel counts
    /// `group.y * groups.x + group.x`, and leaves those alone that are too many.
    #[must_use]
    pub fn flat_groups(self, device: &Device, count: usize) -> Self {
        let folded = fold(device, count);
        self.groups(folded)
    }

    /// Records it. Where a tensor is larger than what a shader can see at once, a launch of which
    /// every tensor is walked is cut into several.
    ///
    /// # Errors
    /// A limit of the adapter is exceeded; the shader does not compile.
    pub fn run(&self, device: &'static Device) -> Result<()> {
        debug_assert_eq!(self.scalars.len(), self.kernel.scalars.len(), "scalars of {}", self.kernel.name);
        let out = &self.tensors[0].1;
        if out.count() == 0 {
            return Ok(());
        }
        let limit = device.binding_limit();
        let large = self.tensors.iter().any(|(_, tensor, _)| tensor.block.buffer().size() > limit);
        let cut = large && self.exceeds(limit - 256) && self.kernel.driver == Driver::Elements;
        if let Some(halves) = cut.then(|| self.halves()).flatten() {
            return halves.iter().try_for_each(|half| half.run(device));
        }
        self.record(device, limit)
    }

    /// Whether a walked tensor reaches over more than so many bytes.
    fn exceeds(&self, bytes: u64) -> bool {
        self.tensors
            .iter()
            .any(|(_, tensor, way)| *way == Use::Walked && span(tensor).1 - span(tensor).0 > bytes)
    }

    /// The launch for the first and for the second half of the elements, cut at the outermost axis.
    fn halves(&self) -> Option<[Self; 2]> {
        let shape = &self.tensors[0].1.shape;
        let axis = shape.iter().position(|&size| size > 1)?;
        let middle = shape[axis] / 2;
        let inner: usize = shape[axis + 1..].iter().product();
        Some([(0, middle), (middle, shape[axis] - middle)].map(|(start, size)| {
            let mut half = self.clone();
            for (_, tensor, way) in &mut half.tensors {
                if *way == Use::Walked {
                    *tensor = tensor.narrow(axis, start, size);
                }
            }
            half.first += start * inner;
            half
        }))
    }

    fn record(&self, device: &'static Device, limit: u64) -> Result<()> {
        let own = self.kernel.driver == Driver::Own;
        let walked: Vec<&Tensor> = self
            .tensors
            .iter()
            .filter(|(_, _, way)| *way == Use::Walked)
            .map(|(_, tensor, _)| tensor)
            .collect();
        let walk = if own { Walk { sizes: Vec::new(), strides: Vec::new() } } else { Walk::of(&walked) };
        let windows = Windows::of(self, device, limit)?;
        let (mut operands, mut words) = (Vec::with_capacity(self.tensors.len()), Vec::with_capacity(24));
        if !own {
            words.push(self.tensors[0].1.count() as u32);
            words.push(self.first as u32);
        }
        let (mut strided, mut number) = (Vec::new(), 0);
        for (name, tensor, way) in &self.tensors {
            let access = match way {
                Use::Walked => walk.access(number),
                Use::Free => Access::Free,
                Use::Atomic => Access::Atomic,
            };
            if let Access::Strided(_) = access {
                strided.push(number);
            }
            number += usize::from(*way == Use::Walked);
            let (binding, offset) = windows.place(tensor);
            words.push(offset);
            operands.push(Operand { name, dtype: tensor.dtype, access, binding });
        }
        let mut push = |values: &[usize]| words.extend(values.iter().map(|&value| value as u32));
        for number in strided {
            push(&walk.sizes);
            push(&walk.strides[number]);
        }
        for (_, place) in &self.places {
            push(&place.sizes);
            push(&place.strides[0]);
        }
        words.extend(&self.scalars);
        let workgroup = WORKGROUP.min(device.limits().max_compute_invocations_per_workgroup);
        let shader = Shader {
            kernel: self.kernel,
            functions: self.functions.clone(),
            parts: self.parts,
            way: self.way,
            operands,
            outputs: self.outputs,
            places: self.places.iter().map(|(name, place)| (*name, place.sizes.len() as u8)).collect(),
            constants: self.constants.clone(),
            half: self.half,
            workgroup,
        };
        debug_assert_eq!(shader.fields().len(), words.len(), "parameters of {}", self.kernel.name);
        let groups = if own {
            self.groups
        } else {
            let turns = invocations(&self.tensors[0].1, shader.lanes());
            fold(device, turns.div_ceil(workgroup as usize))
        };
        let pipeline = device.pipelines().get(device, &shader)?;
        let dispatch = Dispatch { pipeline, bindings: windows.bindings, parameters: words, groups };
        device.recorder().dispatch(device, dispatch);
        Ok(())
    }
}

/// How many invocations write an output, of which each computes some elements: whole words.
fn invocations(out: &Tensor, lanes: usize) -> usize {
    (out.offset % lanes + out.count()).div_ceil(lanes)
}

fn fold(device: &Device, count: usize) -> [u32; 3] {
    let most = device.limits().max_compute_workgroups_per_dimension as usize;
    if count <= most {
        return [count as u32, 1, 1];
    }
    [most as u32, count.div_ceil(most) as u32, 1]
}

/// Where the elements of a tensor begin and end in its block, in bytes.
fn span(tensor: &Tensor) -> (u64, u64) {
    let size = tensor.dtype.bytes() as u64;
    (tensor.offset as u64 * size, tensor.end() * size)
}

/// The parts of buffers that a dispatch sees.
struct Windows<'a> {
    blocks: Vec<&'a Arc<Block>>,
    bindings: Vec<Binding>,
}

impl<'a> Windows<'a> {
    fn of(launch: &'a Launch, device: &Device, limit: u64) -> Result<Self> {
        let mut blocks: Vec<&Arc<Block>> = Vec::new();
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for (_, tensor, _) in &launch.tensors {
            let (start, end) = span(tensor);
            match blocks.iter().position(|block| Arc::ptr_eq(block, &tensor.block)) {
                Some(place) => spans[place] = (spans[place].0.min(start), spans[place].1.max(end)),
                None => {
                    blocks.push(&tensor.block);
                    spans.push((start, end));
                }
            }
        }
        let mut bindings = Vec::with_capacity(blocks.len());
        for (block, (start, end)) in blocks.iter().zip(spans) {
            let mut binding = Binding::whole(block);
            if binding.size > limit {
                binding.offset = start & !255;
                binding.size = end.next_multiple_of(4) - binding.offset;
                if binding.size > limit {
                    return Err(Error::Limit(format!(
                        "the kernel {:?} needs {} bytes of one tensor at once, but the adapter {:?} binds at most \
                         {limit} (max_storage_buffer_binding_size)",
                        launch.kernel.name,
                        binding.size,
                        device.name()
                    )));
                }
            }
            bindings.push(binding);
        }
        Ok(Self { blocks, bindings })
    }

    /// The number of a tensor's binding, and where its first element lies in it.
    fn place(&self, tensor: &Tensor) -> (u8, u32) {
        let binding = self.blocks.iter().position(|block| Arc::ptr_eq(block, &tensor.block)).unwrap_or(0);
        let skipped = self.bindings[binding].offset / tensor.dtype.bytes() as u64;
        (binding as u8, (tensor.offset as u64 - skipped) as u32)
    }
}
