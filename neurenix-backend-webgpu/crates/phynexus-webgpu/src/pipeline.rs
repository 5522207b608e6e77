//! Compiled shaders, and their bind groups.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError, RwLock};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::recorder::Dispatch;
use crate::shader::Shader;

/// A compiled shader.
#[derive(Debug)]
pub struct Pipeline {
    shader: Shader,
    compiled: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    /// What it was compiled from.
    pub fn shader(&self) -> &Shader {
        &self.shader
    }

    pub(crate) fn compiled(&self) -> &wgpu::ComputePipeline {
        &self.compiled
    }

    /// The bind group of a dispatch, with its parameters in a buffer.
    pub(crate) fn bind(
        &self,
        gpu: &wgpu::Device,
        parameters: &wgpu::Buffer,
        dispatch: &Dispatch,
    ) -> wgpu::BindGroup {
        let size = (dispatch.parameters.len() as u64 * 4).next_multiple_of(16);
        let parts = dispatch.bindings.iter().map(|binding| (&binding.buffer, binding.offset, binding.size));
        self.bind_parts(gpu, parameters, size, parts)
    }

    /// The bind group for so many bytes of parameters, and parts of buffers: offset and size in bytes.
    pub(crate) fn bind_parts<'a>(
        &self,
        gpu: &wgpu::Device,
        parameters: &'a wgpu::Buffer,
        parameters_size: u64,
        parts: impl Iterator<Item = (&'a wgpu::Buffer, u64, u64)>,
    ) -> wgpu::BindGroup {
        let all = std::iter::once((parameters, 0, parameters_size)).chain(parts);
        let entries: Vec<_> = (0..)
            .zip(all)
            .map(|(binding, (buffer, offset, size))| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: NonZeroU64::new(size),
                }),
            })
            .collect();
        gpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// The compiled shaders of a device.
#[derive(Debug, Default)]
pub struct Pipelines {
    compiled: RwLock<HashMap<Shader, Arc<Pipeline>>>,
}

impl Pipelines {
    /// The compiled shader, compiled at its first use.
    ///
    /// # Errors
    /// It needs more buffers than the adapter binds; the driver does not compile it.
    pub fn get(&self, device: &Device, shader: &Shader) -> Result<Arc<Pipeline>> {
        let found = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(shader).cloned();
        if let Some(pipeline) = found {
            return Ok(pipeline);
        }
        let pipeline = Arc::new(compile(device, shader)?);
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(compiled.entry(shader.clone()).or_insert(pipeline)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.compiled.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn compile(device: &Device, shader: &Shader) -> Result<Pipeline> {
    let name = &*shader.label();
    let bindings = shader.bindings();
    let most = device.limits().max_storage_buffers_per_shader_stage;
    if bindings.len() > most as usize {
        return Err(Error::Limit(format!(
            "the kernel {name:?} needs {} buffers at once, but the adapter {:?} binds {most} \
             (max_storage_buffers_per_shader_stage)",
            bindings.len(),
            device.name()
        )));
    }
    let gpu = device.gpu();
    let scope = gpu.push_error_scope(wgpu::ErrorFilter::Validation);
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    for (number, written) in bindings.into_iter().enumerate() {
        entries.push(entry(number as u32 + 1, wgpu::BufferBindingType::Storage { read_only: !written }));
    }
    let layout = gpu
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
    let pipeline_layout = gpu.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let source = wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(shader.compose().into()),
    };
    let checks = wgpu::ShaderRuntimeChecks {
        bounds_checks: false,
        force_loop_bounding: false,
        int_div_checks: false,
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    // SAFETY: kernels are of this library. Their places lie within tensors, which lie within their buffers
    // (`Tensor::new`), and an index from a tensor is checked before it becomes a place; every loop ends; no
    // divisor is 0. With the checks, a matrix product takes several times as long.
    let module = unsafe { gpu.create_shader_module_trusted(source, checks) };
    let compiled = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        // Kernels write what they read of workgroup memory.
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    match pollster::block_on(scope.pop()) {
        None => Ok(Pipeline { shader: shader.clone(), compiled, layout }),
        Some(error) => Err(Error::Internal(format!("the kernel {name:?} does not compile: {error}"))),
    }
}

fn entry(binding: u32, ty: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: ty == wgpu::BufferBindingType::Uniform,
            min_binding_size: None,
        },
        count: None,
    }
}
