//! Recorded work as plain data, for those who repeat it elsewhere: a browser, for one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::faults;
use crate::memory::Block;
use crate::pipeline::Pipeline;
use crate::recorder::{Command, Dispatch};

/// A shader of a listing; its entry point is `main`.
#[derive(Clone, Debug)]
pub struct ListedShader {
    /// What it is called in messages.
    pub label: String,
    /// Its WGSL.
    pub text: String,
    /// Of each storage buffer, from binding 1 on, whether it is written; binding 0 is the uniform.
    pub written: Vec<bool>,
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The buffer's number.
    pub buffer: usize,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

/// One step of a listing.
#[derive(Clone, Debug)]
pub enum Step {
    /// Run a shader.
    Dispatch {
        /// The shader's number.
        shader: usize,
        /// What it reads and writes, from binding 1 on.
        parts: Vec<Part>,
        /// The words of the uniform.
        parameters: Vec<u32>,
        /// How many workgroups run.
        groups: [u32; 3],
    },
    /// Copy memory.
    Copy {
        /// The source.
        from: Part,
        /// Where it goes, of the same size.
        to: Part,
    },
}

/// Recorded work, in which shaders and buffers are numbers.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The shaders, each once.
    pub shaders: Vec<ListedShader>,
    /// The sizes of the buffers in bytes: those that were named, then what the ops took for themselves.
    pub buffers: Vec<u64>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Begins to capture what a device records.
///
/// # Errors
/// Memory is exhausted.
pub fn begin_capture(device: &'static Device) -> Result<()> {
    // Kernels that may find faults write to words that are zero at first, as all memory is in a browser.
    // They are made now: made at their first use, they would be a value from the host.
    faults::words(device)?;
    device.recorder().capture();
    Ok(())
}

/// Ends the capture of a device, and lists what was recorded.
///
/// # Errors
/// An op copied values from the host, which a repetition would not have.
pub fn end_capture(device: &Device, named: &[Arc<Block>]) -> Result<Listing> {
    let captured = device.recorder().take_captured();
    if captured.uploads {
        return Err(Error::Value(
            "an op sends values from the host to the device, so that its work cannot be repeated elsewhere"
                .to_owned(),
        ));
    }
    let mut lister = Lister::default();
    for block in named {
        lister.buffer(block.buffer());
    }
    let steps = captured.commands.iter().map(|command| lister.step(command)).collect();
    Ok(Listing { shaders: lister.shaders, buffers: lister.sizes, steps })
}

#[derive(Default)]
struct Lister {
    shaders: Vec<ListedShader>,
    numbers: HashMap<*const Pipeline, usize>,
    sizes: Vec<u64>,
    buffers: HashMap<wgpu::Buffer, usize>,
}

impl Lister {
    fn buffer(&mut self, buffer: &wgpu::Buffer) -> usize {
        *self.buffers.entry(buffer.clone()).or_insert_with(|| {
            self.sizes.push(buffer.size());
            self.sizes.len() - 1
        })
    }

    fn shader(&mut self, pipeline: &Arc<Pipeline>) -> usize {
        *self.numbers.entry(Arc::as_ptr(pipeline)).or_insert_with(|| {
            let shader = pipeline.shader();
            self.shaders.push(ListedShader {
                label: shader.label(),
                text: shader.compose(),
                written: shader.bindings(),
            });
            self.shaders.len() - 1
        })
    }

    fn step(&mut self, command: &Command) -> Step {
        match command {
            Command::Dispatch(Dispatch { pipeline, bindings, parameters, groups }) => Step::Dispatch {
                shader: self.shader(pipeline),
                parts: bindings
                    .iter()
                    .map(|binding| Part {
                        buffer: self.buffer(&binding.buffer),
                        offset: binding.offset,
                        size: binding.size,
                    })
                    .collect(),
                parameters: parameters.clone(),
                groups: *groups,
            },
            Command::Copy(copy) => {
                let mut part = |(buffer, offset): &(wgpu::Buffer, u64)| Part {
                    buffer: self.buffer(buffer),
                    offset: *offset,
                    size: copy.size,
                };
                Step::Copy { from: part(&copy.from), to: part(&copy.to) }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::{Listing, Part, Step, begin_capture, end_capture};
    use crate::attributes::Attributes;
    use crate::device::Device;
    use crate::dtype::DType;
    use crate::error::Result;
    use crate::memory::{Block, allocate};
    use crate::ops::{Call, operations};
    use crate::tensor::Tensor;

    /// The offline device is one, and so is its capture.
    pub(crate) static ALONE: Mutex<()> = Mutex::new(());

    fn blocks(device: &'static Device, count: usize) -> Vec<Arc<Block>> {
        (0..count).map(|_| Arc::new(allocate(device, 4 * 300).expect("there is memory"))).collect()
    }

    fn call(device: &'static Device, op: &'static str, tensors: &[Tensor]) {
        let (outputs, inputs) = tensors.split_at(1);
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let found =
            operations().into_iter().find(|operation| operation.op == op).expect("it is in the table");
        let attributes = Attributes::new();
        (found.run)(&Call { op, device, outputs, inputs: &inputs, attributes: &attributes })
            .expect("it runs");
    }

    fn captured(work: impl FnOnce(&'static Device, &[Arc<Block>])) -> Result<Listing> {
        let _alone = ALONE.lock().expect("no test panics in between");
        let device = Device::offline().expect("it needs no driver");
        let named = blocks(device, 3);
        begin_capture(device).expect("there is memory");
        work(device, &named);
        end_capture(device, &named)
    }

    fn tensor(block: &Arc<Block>, shape: &[usize], strides: Option<&[usize]>) -> Tensor {
        Tensor::new(block.clone(), DType::F32, shape.to_vec(), strides.map(<[usize]>::to_vec), 0)
            .expect("it lies in its block")
    }

    #[test]
    fn what_is_recorded_is_listed_with_buffers_by_number() {
        let listing = captured(|device, named| {
            let [out, x, y] = [0, 1, 2].map(|number| tensor(&named[number], &[300], None));
            call(device, "add", &[out.clone(), x.clone(), y]);
            call(device, "add", &[x.clone(), out.clone(), out]);
            call(device, "copy", &[tensor(&named[2], &[300], None), x]);
        })
        .expect("nothing is sent from the host");
        assert_eq!(listing.buffers.len(), 3);
        let size = listing.buffers[0];
        assert!(size >= 1200);
        let whole = |buffer| Part { buffer, offset: 0, size };
        let [Step::Dispatch { shader, parts, parameters, groups }, again, copy] = &listing.steps[..] else {
            panic!("{:?}", listing.steps)
        };
        assert_eq!(parts, &[whole(0), whole(1), whole(2)]);
        assert_eq!(parameters[0], 300);
        assert_eq!(groups, &[2, 1, 1]);
        let text = &listing.shaders[*shader].text;
        assert!(text.contains("fn main(") && text.contains("add_float"), "{text}");
        assert_eq!(listing.shaders[*shader].written, [true, false, false]);
        assert!(matches!(again, Step::Dispatch { parts, .. } if parts == &[whole(1), whole(0)]), "{again:?}");
        let expected = [Part { size: 1200, ..whole(1) }, Part { size: 1200, ..whole(2) }];
        assert!(matches!(copy, Step::Copy { from, to } if [*from, *to] == expected), "{copy:?}");
    }

    #[test]
    fn a_shader_is_listed_once_and_memory_of_the_ops_own_behind_what_is_named() {
        let listing = captured(|device, named| {
            // Of one block: the copy goes by way of memory in between.
            let turned = tensor(&named[0], &[3, 5], Some(&[1, 3]));
            call(device, "copy", &[tensor(&named[0], &[3, 5], None), turned.clone()]);
            call(device, "copy", &[tensor(&named[1], &[3, 5], None), turned]);
        })
        .expect("nothing is sent from the host");
        assert_eq!(listing.buffers.len(), 4);
        assert_eq!(listing.shaders.len(), 1);
    }

    #[test]
    fn products_of_float16_have_tiles_of_it_where_shaders_do() {
        for half in [true, false] {
            let listing = captured(|device, named| {
                let [out, x, y] = [0, 1, 2]
                    .map(|number| Tensor { dtype: DType::F16, ..tensor(&named[number], &[9, 9], None) });
                device.set_half(half);
                call(device, "matmul", &[out, x, y]);
                device.set_half(false);
            })
            .expect("nothing is sent from the host");
            let text = &listing.shaders[0].text;
            assert_eq!(text.contains("enable f16;"), half, "{text}");
            assert_eq!(text.contains("alias TileValue = vec4<f16>;"), half, "{text}");
        }
    }

    #[test]
    fn what_is_recorded_outside_of_a_capture_is_not_listed() {
        let listing = captured(|_, _| {}).expect("nothing is sent from the host");
        assert!(listing.steps.is_empty() && listing.shaders.is_empty());
    }

    #[test]
    fn values_from_the_host_cannot_be_listed() {
        let refused = captured(|device, named| device.recorder().upload(device, &named[0], &[1; 8]));
        assert!(refused.expect_err("it has an upload").to_string().contains("from the host"));
    }
}
