//! The emulator reports each kind of mistake, and computes what the hardware's documents say.

use std::ffi::c_void;

use super::{Emulated, Landing, Memory, Policy};

#[repr(C)]
struct Probe {
    out: u64,
    input: u64,
    mode: i32,
}

const FILE: &str = "probes.cu";

fn launch(
    device: Emulated,
    kernel: &str,
    blocks: u32,
    out: &Memory<f32>,
    input: &Memory<u16>,
    mode: i32,
) -> Result<(), String> {
    let mut probe = Probe {
        out: out.address(),
        input: input.address(),
        mode,
    };
    let parameters = [(&raw mut probe).cast::<c_void>()];
    // SAFETY: the kernel takes one Probe; its wrong addresses end in pages that cannot be touched.
    unsafe { device.launch(FILE, kernel, [blocks, 1, 1], &parameters) }
}

fn mistake(mode: i32) -> String {
    let device = Emulated::new(Policy {
        landing: Landing::Late,
        ..Policy::PLAIN
    });
    let out = device.poisoned(128);
    let input = device.poisoned(8);
    launch(device, "probe_mistakes", 1, &out, &input, mode).expect_err("a mistake")
}

fn bf16(x: f32) -> u16 {
    (x.to_bits() >> 16) as u16
}

#[test]
fn a_right_kernel_writes_its_results() {
    let device = Emulated::new(Policy::PLAIN);
    let (out, input) = (device.poisoned(128), device.poisoned(8));
    launch(device, "probe_mistakes", 1, &out, &input, 0).expect("no mistake");
    let expected: Vec<f32> = (0..128u8).map(f32::from).collect();
    assert_eq!(out.read(), expected);
}

#[test]
fn a_deadlock_names_the_barrier_and_who_is_missing() {
    let report = mistake(1);
    assert!(report.contains("probe_mistakes, block (0, 0)"), "{report}");
    assert!(
        report.contains(
            "deadlock; threads 0 to 95 wait at barrier 0 (96 of 128 threads are there); \
             threads 96 to 127 returned"
        ),
        "{report}"
    );
}

#[test]
fn a_missing_lane_is_named() {
    let report = mistake(2);
    assert!(
        report.contains(
            "threads 32 to 36 wait at __syncwarp 1; threads 37 to 37 returned; \
             threads 38 to 63 wait at __syncwarp 1"
        ),
        "{report}"
    );
}

#[test]
fn lanes_at_different_collectives_are_reported() {
    assert!(mistake(3).ends_with("other lanes are at __syncwarp, this one is at shuffle"));
}

#[test]
fn addresses_out_of_bounds_are_reported_by_what_they_miss() {
    let expected = [
        (4, "touches byte 512 of an allocation of 512 bytes"),
        (5, "touches byte -8192 of an allocation of 512 bytes"),
        (6, "something was written outside shared memory"),
        (7, "touches byte 16384 of 8200 of shared memory"),
        (8, "something was written outside shared memory"),
        (
            9,
            "ldmatrix at shared address 8192 passes the 8200 bytes of the launch",
        ),
        (10, "ldmatrix at shared address 8, no multiple of 16"),
        (11, "cp.async from an address that is not a multiple of 16"),
        (12, "touches byte 512 of an allocation of 512 bytes"),
        (13, "stack overflow"),
        (14, "thread 8: integer division by zero"),
    ];
    for (mode, text) in expected {
        let report = mistake(mode);
        assert!(report.ends_with(text), "{mode}: {report}");
    }
}

#[test]
fn a_late_copy_stays_poison_until_it_is_waited_for() {
    for (landing, second) in [(Landing::Early, Some(2.0)), (Landing::Late, None)] {
        let device = Emulated::new(Policy {
            landing,
            ..Policy::PLAIN
        });
        let (out, input) = (device.poisoned(256), device.upload(&[bf16(2.0); 8]));
        launch(device, "probe_copies", 1, &out, &input, 0).expect("no mistake");
        let out = out.read();
        assert!(
            out[..128].iter().all(|&x| x == 2.0),
            "the group that was waited for"
        );
        let landed = |x: &f32| second.map_or(x.is_nan(), |value| *x == value);
        assert!(
            out[128..].iter().all(landed),
            "{landing:?}: {:?}",
            &out[128..]
        );
    }
}

#[test]
fn a_copy_that_is_not_valid_writes_zeros() {
    let device = Emulated::new(Policy::PLAIN);
    let (out, input) = (device.poisoned(256), device.upload(&[bf16(2.0); 8]));
    launch(device, "probe_copies", 1, &out, &input, 1).expect("no mistake");
    assert!(out.read()[128..].iter().all(|&x| x == 0.0));
}

#[test]
fn a_missing_barrier_shows_under_some_schedule() {
    let sums = |mode: i32, seed: u32| {
        let device = Emulated::new(Policy {
            seed,
            ..Policy::PLAIN
        });
        let (out, input) = (device.poisoned(128), device.poisoned(8));
        launch(device, "probe_handover", 1, &out, &input, mode).expect("no deadlock");
        out.read()
    };
    let expected = sums(0, 0);
    assert!(
        (1..8).all(|seed| sums(0, seed) == expected),
        "with the barrier"
    );
    assert!((1..8).any(|seed| sums(1, seed) != expected), "without it");
}

#[test]
fn products_are_those_of_the_fragments_documents() {
    let device = Emulated::new(Policy::PLAIN);
    let value = |i: usize| (i * 37 % 31) as f32 * 0.25 - 3.0;
    let a: Vec<f32> = (0..256).map(value).collect();
    let b: Vec<f32> = (0..128).map(|i| value(i + 1000)).collect();
    for mode in [0, 1] {
        let mut tile: Vec<u16> = a.iter().chain(&b).map(|&x| bf16(x)).collect();
        if mode == 1 {
            for (n, k) in (0..8).flat_map(|n| (0..16).map(move |k| (n, k))) {
                tile[256 + k * 8 + n] = bf16(b[n * 16 + k]);
            }
        }
        tile.resize(512, 0);
        let (out, input) = (device.poisoned(512), device.upload(&tile));
        launch(device, "probe_product", 1, &out, &input, mode).expect("no mistake");
        for (i, x) in out.read().into_iter().enumerate() {
            let (r, n) = (i % 128 / 8, i % 8);
            let expected: f32 = (0..16).map(|k| a[r * 16 + k] * b[n * 16 + k]).sum();
            assert_eq!(
                x,
                expected,
                "mode {mode}, warp {}, row {r}, column {n}",
                i / 128
            );
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_host_threads() {
    let run = |host_threads: u32| {
        let device = Emulated::new(Policy {
            host_threads,
            ..Policy::PLAIN
        });
        let tile: Vec<u16> = (0..512u16)
            .map(|i| bf16(f32::from(i * 79 % 101) * 0.37))
            .collect();
        let (out, input) = (device.poisoned(512 * 40), device.upload(&tile));
        launch(device, "probe_product", 40, &out, &input, 0).expect("no mistake");
        out.read()
            .into_iter()
            .map(f32::to_bits)
            .collect::<Vec<u32>>()
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(5));
}

#[test]
fn kernels_state_their_launch() {
    let facts = Emulated::new(Policy::PLAIN).facts(FILE, "probe_product");
    assert_eq!((facts.threads, facts.shared_bytes), (128, 8200));
    assert_eq!((facts.parameters, facts.parameter_bytes), (1, 24));
}
