//! Rules on system calls, and the classic BPF program that the kernel runs for them.
//!
//! One block for each call, tried in order: the hot ones come first. What has no block, comes from another architecture
//! or breaks a condition ends the process. Only the low 32 bits of an argument are looked at: of descriptors, flags,
//! commands and signals the kernel takes no more, and no bit above them means anything to the calls that are listed.

use libc::{c_long, sock_filter};

/// A condition on one argument, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It is one of these.
    OneOf(u8, &'static [u32]),
    /// It is this number, which is known only now.
    Is(u8, u32),
    /// It is any number but this.
    Not(u8, u32),
    /// Of the bits in the first number, those in the second are set and the others are not.
    Bits(u8, u32, u32),
    /// It is smaller than this.
    Below(u8, u32),
}

/// What becomes of a call whose conditions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel does it.
    Allow,
    /// The kernel answers with this error instead, and the process goes on.
    Refuse(i32),
}

impl Verdict {
    /// As the kernel wants it.
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Refuse(errno) => libc::SECCOMP_RET_ERRNO | errno.cast_unsigned() & libc::SECCOMP_RET_DATA,
        }
    }
}

/// What a process may do with one system call.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its number on this architecture.
    pub(super) number: c_long,
    /// Its name, for people.
    pub(super) name: &'static str,
    /// All of them must hold.
    pub(super) checks: Vec<Check>,
    /// What becomes of it then.
    pub(super) verdict: Verdict,
    /// What becomes of it otherwise. No error means that the process ends.
    pub(super) otherwise: Option<i32>,
}

impl Rule {
    /// The answer to a call that breaks a condition.
    pub(super) fn otherwise(&self) -> u32 {
        self.otherwise.map_or(KILL, |errno| Verdict::Refuse(errno).code())
    }
}

/// The architecture whose numbers the rules are in, as in `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xC000_003E;
/// The architecture whose numbers the rules are in, as in `linux/audit.h`.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xC000_00B7;

/// What ends the whole process, whatever it does about the signal.
pub(super) const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// Where the number, the architecture and the arguments are in what the program looks at (`struct seccomp_data`).
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// Bytes of an argument. Its low half comes first on both architectures.
const ARGUMENT: u32 = 8;

/// Numbers from here on are those of the x32 calls, which look like the others and are not compiled into most kernels.
const FIRST_X32: u32 = 0x4000_0000;

/// The program for these rules.
pub(super) fn assemble(rules: &[Rule]) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE_AT),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(KILL),
        load(NUMBER_AT),
        jump(libc::BPF_JGE, FIRST_X32, 0, 1),
        answer(KILL),
    ];
    for rule in rules {
        let block = block(rule);
        let number = u32::try_from(rule.number).expect("numbers of system calls are small");
        let skip = u8::try_from(block.len()).expect("a block has a handful of steps");
        program.push(jump(libc::BPF_JEQ, number, 0, skip));
        program.extend(block);
    }
    program.push(answer(KILL));
    program
}

/// The steps for a call that is this one: each check goes on to the next, or to the end of the block.
fn block(rule: &Rule) -> Vec<sock_filter> {
    let mut steps = Vec::new();
    // Where a jump to the end is still to be filled in: the step, and whether it is made when the test holds.
    let mut ends = Vec::new();
    for check in &rule.checks {
        match *check {
            Check::Is(argument, value) => {
                steps.push(load_argument(argument));
                ends.push((steps.len(), false));
                steps.push(jump(libc::BPF_JEQ, value, 0, 0));
            }
            Check::Not(argument, value) => {
                steps.push(load_argument(argument));
                ends.push((steps.len(), true));
                steps.push(jump(libc::BPF_JEQ, value, 0, 0));
            }
            Check::OneOf(argument, values) => {
                steps.push(load_argument(argument));
                for (at, value) in values.iter().enumerate() {
                    let others = u8::try_from(values.len() - at - 1).expect("lists are short");
                    if others == 0 {
                        ends.push((steps.len(), false));
                    }
                    steps.push(jump(libc::BPF_JEQ, *value, others, 0));
                }
            }
            Check::Bits(argument, mask, value) => {
                steps.push(load_argument(argument));
                steps.push(step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0, 0));
                ends.push((steps.len(), false));
                steps.push(jump(libc::BPF_JEQ, value, 0, 0));
            }
            Check::Below(argument, limit) => {
                steps.push(load_argument(argument));
                ends.push((steps.len(), true));
                steps.push(jump(libc::BPF_JGE, limit, 0, 0));
            }
        }
    }
    steps.push(answer(rule.verdict.code()));
    let end = steps.len();
    steps.push(answer(rule.otherwise()));
    for (at, when_true) in ends {
        let distance = u8::try_from(end - at - 1).expect("a block has a handful of steps");
        if let Some(step) = steps.get_mut(at) {
            *(if when_true { &mut step.jt } else { &mut step.jf }) = distance;
        }
    }
    steps
}

fn load(offset: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn load_argument(argument: u8) -> sock_filter {
    load(ARGUMENTS_AT + ARGUMENT * u32::from(argument))
}

fn jump(test: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    step(libc::BPF_JMP | test | libc::BPF_K, value, if_true, if_false)
}

fn answer(code: u32) -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, code, 0, 0)
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt, jf, k }
}
