//! What ptxas says of each kernel: registers, and what did not fit into them.

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The kernel's name.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that a thread writes to local memory for want of registers, and reads again.
    pub spill_bytes: u32,
}

/// The resources of every kernel of a log of `ptxas -v`, in its order.
pub(super) fn resources(log: &str) -> Vec<Resources> {
    let mut all: Vec<Resources> = Vec::new();
    for line in log.lines() {
        if let Some(rest) = after(line, "Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_owned();
            all.push(Resources {
                kernel,
                ..Resources::default()
            });
        }
        let Some(last) = all.last_mut() else { continue };
        if let Some(registers) = number_before(line, " registers") {
            last.registers = registers;
        }
        for kind in [" bytes spill stores", " bytes spill loads"] {
            last.spill_bytes += number_before(line, kind).unwrap_or(0);
        }
    }
    all
}

fn after<'a>(line: &'a str, text: &str) -> Option<&'a str> {
    line.find(text).map(|place| &line[place + text.len()..])
}

/// The number that stands right before a text.
fn number_before(line: &str, text: &str) -> Option<u32> {
    let before = &line[..line.find(text)?];
    let digits = before
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |place| place + 1);
    before[digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_spills_are_read_of_every_kernel() {
        let log = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_80'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'second' for 'sm_80'
ptxas info    : Function properties for second
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
";
        let found = resources(log);
        let expected =
            [("first", 32, 0), ("second", 255, 20)].map(|(kernel, registers, spill)| Resources {
                kernel: kernel.into(),
                registers,
                spill_bytes: spill,
            });
        assert_eq!(found, expected);
        assert_eq!(resources("nothing of that"), []);
    }
}
