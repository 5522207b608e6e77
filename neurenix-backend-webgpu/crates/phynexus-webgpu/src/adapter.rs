//! The adapters of this machine: GPUs, and software that emulates one.

use std::sync::OnceLock;

/// The optional features that kernels make use of.
pub const KNOWN_FEATURES: wgpu::Features = wgpu::Features::SHADER_F16.union(wgpu::Features::SUBGROUP);

/// One way to reach a GPU.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(crate) adapter: wgpu::Adapter,
    /// What the driver says of it.
    pub info: wgpu::AdapterInfo,
}

impl Adapter {
    /// Whether it emulates a GPU on the processor.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The limits that decide how large tensors may be, by their names in WebGPU.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let limits = self.adapter.limits();
        vec![
            ("max_buffer_size", limits.max_buffer_size),
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
            ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
            ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ]
    }
}

/// The adapters, the fastest kind first. Vulkan, Metal and DX12 are asked; GL only where those have
/// none.
pub fn adapters() -> &'static [Adapter] {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let primary = of_backends(wgpu::Backends::PRIMARY);
        if primary.is_empty() { of_backends(wgpu::Backends::GL) } else { primary }
    })
}

/// An adapter for recording work that is carried out elsewhere, such as in a browser: memory is the
/// host's, and no shader runs. It has the limits that every implementation of WebGPU has, and the optional
/// features that kernels know, for tests of their shaders.
pub(crate) fn offline() -> Option<Adapter> {
    let options = wgpu::NoopBackendOptions {
        enable: true,
        limits: Some(wgpu::Limits::default()),
        features: Some(KNOWN_FEATURES),
        ..Default::default()
    };
    let options = wgpu::BackendOptions { noop: options, ..Default::default() };
    of_backends_with(wgpu::Backends::NOOP, options).pop()
}

fn of_backends(backends: wgpu::Backends) -> Vec<Adapter> {
    of_backends_with(backends, wgpu::BackendOptions::default())
}

fn of_backends_with(backends: wgpu::Backends, backend_options: wgpu::BackendOptions) -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        backend_options,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<Adapter> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(|adapter| Adapter { info: adapter.get_info(), adapter })
        .collect();
    found.sort_by_key(|adapter| match adapter.info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    found
}
