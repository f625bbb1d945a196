//! What the reference model would run on: the GPU with its memory and kernels, or why it is the CPU.

use kernels::{CudaError, DeviceChoice, DeviceInfo, DeviceReport, KernelReport};

use super::finding::{Finding, Status, bytes};
use crate::config::{Config, PerplexityFrom};
use crate::engine::load_options;

const WHAT: &str = "device";

/// The findings on the device that `score.device` chooses; none when no model is loaded.
///
/// Kernels are compiled as a run would do it, for a model of this shape if its file reads.
pub(super) fn check(config: &Config, model: Option<&kernels::Config>) -> Vec<Finding> {
    if config.score.perplexity != PerplexityFrom::Model {
        return Vec::new();
    }
    let choice = config.score.device;
    let ordinal = match choice {
        DeviceChoice::Cpu => return vec![Finding::new(Status::Ok, WHAT, "cpu")],
        DeviceChoice::Auto => 0,
        DeviceChoice::Cuda(ordinal) => ordinal,
    };
    let Some(model) = model else {
        return vec![match kernels::probe(ordinal) {
            Ok(device) => Finding::new(Status::Ok, WHAT, described(&device)),
            Err(reason) => without_gpu(choice, &reason),
        }];
    };
    match kernels::inspect(model, ordinal, &load_options(config, 0)) {
        Ok(report) => reported(&report),
        Err(reason) => vec![without_gpu(choice, &reason)],
    }
}

/// A GPU that cannot be used, which is a failure only where it is asked for.
fn without_gpu(choice: DeviceChoice, reason: &CudaError) -> Finding {
    match (choice, reason) {
        (DeviceChoice::Cuda(_), _) => {
            Finding::new(Status::Fail, WHAT, format!("{choice}: {reason}"))
                .fix("or set score.device to \"auto\" or \"cpu\"")
        }
        (_, CudaError::NoDriver) => Finding::new(Status::Ok, WHAT, "cpu: there is no CUDA driver"),
        (_, reason) => Finding::new(Status::Warning, WHAT, format!("cpu: {reason}"))
            .fix("or set score.device to \"cpu\""),
    }
}

fn described(device: &DeviceInfo) -> String {
    format!(
        "cuda:{}: {}, compute capability {}, driver for CUDA {}, {} of {} free",
        device.ordinal,
        device.name,
        device.capability,
        device.driver,
        bytes(device.free_bytes),
        bytes(device.total_bytes)
    )
}

fn reported(report: &DeviceReport) -> Vec<Finding> {
    let memory = format!(
        "{} for weights, {} for batches of {} tokens, of {} free",
        bytes(report.weight_bytes),
        bytes(report.batch_bytes),
        report.batch_tokens,
        bytes(report.device.free_bytes)
    );
    let device = format!(
        "{}; scores as {} by NVRTC {}",
        described(&report.device),
        report.backend,
        report.nvrtc
    );
    let ends = [
        Finding::new(Status::Ok, WHAT, device),
        Finding::new(Status::Ok, "device memory", memory),
    ];
    ends.into_iter()
        .chain(report.kernels.iter().map(kernel))
        .collect()
}

fn kernel(report: &KernelReport) -> Finding {
    let resources = &report.resources;
    let found = format!(
        "{} registers, {} bytes spilled, {} in {:.1} s",
        resources.registers,
        resources.spill_bytes,
        if report.cached {
            "cached, read"
        } else {
            "compiled"
        },
        report.took.as_secs_f64()
    );
    let what = format!("kernel {}", resources.kernel);
    match resources.spill_bytes {
        0 => Finding::new(Status::Ok, what, found),
        _ => Finding::new(Status::Warning, what, found)
            .fix("it computes the same, slower; another version of NVRTC may fit its registers"),
    }
}

#[cfg(test)]
mod tests {
    use kernels::{Resources, Version};

    use super::*;

    #[test]
    fn a_gpu_that_is_missing_fails_only_where_it_is_asked_for() {
        let status = |choice, reason: CudaError| without_gpu(choice, &reason).status;
        assert_eq!(status(DeviceChoice::Auto, CudaError::NoDriver), Status::Ok);
        assert_eq!(
            status(DeviceChoice::Auto, CudaError::NoDevice),
            Status::Warning
        );
        assert_eq!(
            status(DeviceChoice::Cuda(1), CudaError::NoDriver),
            Status::Fail
        );
    }

    #[test]
    fn a_report_tells_device_memory_and_every_kernel() {
        let kernel = |kernel: &str, spill_bytes, cached| KernelReport {
            resources: Resources {
                kernel: kernel.into(),
                registers: 168,
                spill_bytes,
            },
            cached,
            took: std::time::Duration::from_millis(2345),
        };
        let report = DeviceReport {
            device: DeviceInfo {
                ordinal: 0,
                name: "NVIDIA H100".into(),
                capability: Version { major: 9, minor: 0 },
                driver: Version {
                    major: 13,
                    minor: 1,
                },
                total_bytes: 85_000_000_000,
                free_bytes: 84_000_000_000,
            },
            backend: "cuda sm_90a bf16".into(),
            nvrtc: Version {
                major: 13,
                minor: 0,
            },
            batch_tokens: 65_536,
            weight_bytes: 270_000_000,
            batch_bytes: 640_000_000,
            kernels: vec![kernel("qkv_sm90", 0, true), kernel("head_sm90", 8, false)],
        };
        let texts: String = reported(&report).iter().map(|it| it.text(false)).collect();
        let expected = "\
ok       device                   cuda:0: NVIDIA H100, compute capability 9.0, driver for CUDA 13.1, \
84.0 GB of 85.0 GB free; scores as cuda sm_90a bf16 by NVRTC 13.0
ok       device memory            270.0 MB for weights, 640.0 MB for batches of 65536 tokens, of 84.0 GB free
ok       kernel qkv_sm90          168 registers, 0 bytes spilled, cached, read in 2.3 s
warning  kernel head_sm90         168 registers, 8 bytes spilled, compiled in 2.3 s
                                  fix: it computes the same, slower; another version of NVRTC may fit its registers
";
        assert_eq!(texts, expected);
    }
}
