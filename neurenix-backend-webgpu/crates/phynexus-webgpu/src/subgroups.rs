//! Subgroups: invocations that hand each other values without workgroup memory.
//!
//! WGSL does not say which invocations of a workgroup make a subgroup. Drivers take neighbours; whether
//! one does is tried, once a device.

use std::sync::mpsc;

use crate::device::Device;

/// Invocations of the trial's workgroup.
const INVOCATIONS: u64 = 256;

/// Among how many neighbours values can be exchanged: a power of two, or 0 where they cannot.
pub fn reach(device: &Device) -> u32 {
    if !device.features().contains(wgpu::Features::SUBGROUP) {
        return 0;
    }
    // Another shader may run in subgroups of another size.
    let least = device.info().subgroup_min_size;
    let found = tried(device).unwrap_or(0).min(least);
    if found > 1 && found.is_power_of_two() { found } else { 0 }
}

/// The least that any invocation finds.
fn tried(device: &Device) -> Option<u32> {
    let gpu = device.gpu();
    let scope = gpu.push_error_scope(wgpu::ErrorFilter::Validation);
    let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("subgroups"),
        source: wgpu::ShaderSource::Wgsl(include_str!("../wgsl/team/probe.wgsl").into()),
    });
    let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("subgroups"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let size = 4 * INVOCATIONS;
    let buffer = |usage| {
        gpu.create_buffer(&wgpu::BufferDescriptor {
            label: Some("subgroups"),
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let found = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let group = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: found.as_entire_binding() }],
    });
    let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(1, 1, 1);
    drop(pass);
    encoder.copy_buffer_to_buffer(&found, 0, &staging, 0, size);
    let index = device.queue().submit([encoder.finish()]);
    let (sender, receiver) = mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
        let _ = sender.send(outcome);
    });
    device.wait(Some(index)).ok()?;
    if pollster::block_on(scope.pop()).is_some() {
        return None;
    }
    receiver.try_recv().ok()?.ok()?;
    let view = staging.get_mapped_range(..).ok()?;
    view.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).min()
}
