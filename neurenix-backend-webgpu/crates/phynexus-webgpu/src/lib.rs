//! Tensors and operations on WebGPU, by wgpu: Vulkan, Metal, DX12, and GL at best effort.
//!
//! An op ([`ops`]) turns tensors and attributes into launches of kernels, WGSL files that a
//! [`shader`] composes with what their operands' dtypes and strides need. A launch becomes a
//! dispatch on the [`recorder`], which submits batches in order; memory ([`memory`]) is reused in
//! that order. Nothing waits for the device but [`readback`] and [`device::Device::synchronize`].
//! This crate knows no Python.

mod accessors;
pub mod adapter;
pub mod attributes;
pub mod device;
pub mod dtype;
pub mod error;
pub mod faults;
pub mod layout;
pub mod listing;
pub mod memory;
pub mod ops;
pub mod pipeline;
pub mod readback;
pub mod recorder;
pub mod recording;
pub mod shader;
mod subgroups;
pub mod tensor;
