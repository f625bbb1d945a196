//! The emulator's TMA, mbarriers and warpgroup products: what they compute, and which mistakes show.

use std::ffi::c_void;

use super::{Emulated, Landing, Policy};

#[repr(C)]
struct Probe {
    out: u64,
    mode: i32,
}

const SIZE: usize = 64;
/// Rows that the operand has; the box asks for 64.
const ROWS: usize = 60;

fn bf16(x: f32) -> u16 {
    (x.to_bits() >> 16) as u16
}

/// Small quarters, exact in bf16 and in every sum of their products.
fn value(i: usize) -> f32 {
    (i * 7919 % 23) as f32 * 0.25 - 2.5
}

fn run(mode: i32, policy: Policy) -> Result<Vec<f32>, String> {
    let device = Emulated::new(policy);
    let values = |from: usize, rows: usize| -> Vec<u16> {
        (0..rows * SIZE).map(|i| bf16(value(from + i))).collect()
    };
    let (a, b) = (values(0, ROWS), values(10_000, SIZE));
    let (a, b) = (device.upload(&a), device.upload(&b));
    let out = device.upload(&[f32::NAN; SIZE * SIZE]);
    let size = SIZE as u64;
    let map = |base: *mut c_void, rows: usize| {
        let map = device.tensor_map(base, [rows as u64, size, 2 * size], [SIZE as u32; 2]);
        map.expect("a map that the hardware would take")
    };
    let (mut operand, mut weight) = (map(a.base(), ROWS), map(b.base(), SIZE));
    let mut probe = Probe {
        out: out.address(),
        mode,
    };
    let parameters = [
        (&raw mut probe).cast::<c_void>(),
        (&raw mut operand).cast(),
        (&raw mut weight).cast(),
    ];
    // SAFETY: the kernel takes one Probe and two tensor maps.
    unsafe { device.launch("probes_hopper.cu", "probe_multiply", [1, 1, 1], &parameters) }?;
    Ok(out.read())
}

fn expected() -> Vec<f32> {
    let product = |i: usize| -> f32 {
        let (row, column) = (i / SIZE, i % SIZE);
        let operand = |k: usize| match row < ROWS {
            true => value(row * SIZE + k),
            false => 0.0,
        };
        (0..SIZE)
            .map(|k| operand(k) * value(10_000 + column * SIZE + k))
            .sum()
    };
    (0..SIZE * SIZE).map(product).collect()
}

#[test]
fn a_product_is_right_under_every_policy() {
    let expected = expected();
    for policy in Policy::all() {
        assert!(
            run(0, policy).expect("no mistake") == expected,
            "{policy:?}"
        );
    }
}

#[test]
fn mistakes_are_reported() {
    let reports = [
        (1, "mbarrier at 0 is used before it is initialised"),
        (
            2,
            "TMA load to an mbarrier whose initialisation was not fenced",
        ),
        (3, "TMA load at shared address 1536, no multiple of 1024"),
        (4, "threads 0 to 127 wait at mbarrier, parity 0, at 0"),
        (5, "one arrival too many at the mbarrier at 0"),
        (6, "wgmma without a wgmma.fence since the last wait"),
        (7, "the block ended before its TMA loads landed"),
        (8, "the warps of a warpgroup issued different wgmma"),
    ];
    let late = Policy {
        landing: Landing::Late,
        ..Policy::PLAIN
    };
    for (mode, expected) in reports {
        let report = run(mode, late).expect_err(expected);
        assert!(report.ends_with(expected), "{report}");
    }
}

#[test]
fn what_is_not_waited_for_is_wrong_when_it_comes_late() {
    let expected = expected();
    let wrong = |mode: i32, landing: Landing| {
        let policy = Policy {
            landing,
            ..Policy::PLAIN
        };
        run(mode, policy) != Ok(expected.clone())
    };
    for (mode, landing) in [
        (9, Landing::LateCopies),
        (10, Landing::LateCopies),
        (11, Landing::LateProducts),
        (12, Landing::LateProducts),
    ] {
        assert!(wrong(mode, landing), "{mode}");
        assert!(wrong(mode, Landing::Late), "{mode}");
    }
}

#[test]
fn tensor_maps_that_the_hardware_refuses_are_refused() {
    let device = Emulated::new(Policy::PLAIN);
    let memory = device.poisoned::<u16>(64 * 64);
    let refused = |base: *const c_void, sizes: [u64; 3], boxes: [u32; 2]| {
        device
            .tensor_map(base, sizes, boxes)
            .expect_err("a refusal")
    };
    let base = memory.base();
    let odd = base.cast::<u8>().wrapping_add(2).cast();
    assert!(refused(odd, [64, 64, 128], [64, 64]).contains("aligned"));
    assert!(refused(base, [64, 60, 120], [64, 64]).contains("pitch"));
    assert!(refused(base, [64, 64, 128], [257, 64]).contains("256 rows"));
    assert!(refused(base, [64, 64, 128], [64, 32]).contains("128 bytes wide"));
    assert!(refused(base, [0, 64, 128], [64, 64]).contains("dimension"));
}
