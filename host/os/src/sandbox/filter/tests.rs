//! The programs of all roles, run step by step as the kernel does it.

use libc::sock_filter;

use super::profile::{Numbers, rules};
use super::program::{ARCHITECTURE, Check, KILL, Rule, assemble};
use super::{MOST_STEPS, Role};

const NUMBERS: Numbers = Numbers { control: 3, descriptors: 40, process: 1, writes: true };

/// Numbers of calls up to here are tried; the newest known has 470.
const NUMBERS_TRIED: u32 = 1024;

/// Arguments that mean something to some call.
const INTERESTING: [u64; 12] = [0, 1, 2, 3, 4, 5, 7, 39, 40, 0x80, 0x4000_0000, u64::MAX];

const ROLES: [Role; 5] = [Role::Execute, Role::ExecuteWithFiles, Role::Compile, Role::Convert, Role::Stream];

fn program(role: Role) -> Vec<sock_filter> {
    assemble(&rules(role, NUMBERS))
}

/// What the program answers to a call.
fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = vec![number, architecture, 0, 0];
    data.extend(arguments.iter().flat_map(|argument| [*argument as u32, (*argument >> 32) as u32]));
    let (mut accumulator, mut at) = (0_u32, 0_usize);
    loop {
        let step = program[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
        match u32::from(step.code) {
            code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => accumulator = data[step.k as usize / 4],
            code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => accumulator &= step.k,
            code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => at += branch(accumulator == step.k),
            code if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => at += branch(accumulator >= step.k),
            code if code == libc::BPF_RET | libc::BPF_K => return step.k,
            code => panic!("an unknown step {code:#x}"),
        }
    }
}

/// Arguments that the rule takes.
fn fitting(rule: &Rule) -> [u64; 6] {
    let mut arguments = [0; 6];
    for check in &rule.checks {
        match *check {
            Check::Is(at, value) => arguments[usize::from(at)] = value.into(),
            Check::OneOf(at, values) => arguments[usize::from(at)] = values[0].into(),
            Check::Bits(at, _, value) => arguments[usize::from(at)] |= u64::from(value),
            Check::Below(at, _) => arguments[usize::from(at)] = 0,
            Check::Not(at, value) => assert_ne!(arguments[usize::from(at)], u64::from(value)),
        }
    }
    arguments
}

/// Values of one argument that its check does not take, one step or one bit away from some that it takes.
fn perturbed(check: &Check) -> (usize, Vec<u64>) {
    match *check {
        Check::Is(at, value) => (at.into(), vec![u64::from(value) + 1, u64::from(value) ^ 0x8000_0000]),
        Check::OneOf(at, values) => {
            let others = (0..32).flat_map(|bit| values.iter().map(move |value| value ^ (1 << bit)));
            (at.into(), others.filter(|other| !values.contains(other)).map(u64::from).collect())
        }
        Check::Bits(at, mask, value) => {
            let bits = (0..32).map(|bit| 1_u32 << bit).filter(|bit| mask & bit != 0);
            (at.into(), bits.map(|bit| u64::from(value ^ bit)).collect())
        }
        Check::Not(at, value) => (at.into(), vec![value.into()]),
        Check::Below(at, limit) => (at.into(), vec![limit.into(), u64::from(limit) + 1, u64::from(u32::MAX)]),
    }
}

#[test]
fn arguments_that_fit_pass_and_each_perturbed_one_kills() {
    for role in ROLES {
        let program = program(role);
        for rule in rules(role, NUMBERS) {
            let number = u32::try_from(rule.number).expect("small");
            let fits = fitting(&rule);
            assert_eq!(run(&program, ARCHITECTURE, number, fits), rule.verdict.code(), "{role:?} {}", rule.name);
            // The upper halves mean nothing to the kernel either.
            let high = fits.map(|argument| argument | 0xffff_ffff_0000_0000);
            assert_eq!(run(&program, ARCHITECTURE, number, high), rule.verdict.code(), "{role:?} {}", rule.name);
            for check in &rule.checks {
                let (at, values) = perturbed(check);
                for value in values {
                    let mut arguments = fits;
                    arguments[at] = value;
                    let answer = run(&program, ARCHITECTURE, number, arguments);
                    assert_eq!(answer, rule.otherwise(), "{role:?} {} with {arguments:#x?}", rule.name);
                }
            }
        }
    }
}

#[test]
fn every_number_that_is_not_listed_kills_whatever_its_arguments() {
    for role in ROLES {
        let (program, known) = (program(role), super::known_numbers(role));
        for number in (0..NUMBERS_TRIED).filter(|number| !known.contains(&i64::from(*number))) {
            for argument in INTERESTING {
                assert_eq!(run(&program, ARCHITECTURE, number, [argument; 6]), KILL, "{role:?} {number}");
            }
        }
    }
}

#[test]
fn other_architectures_and_x32_kill_even_what_is_listed() {
    /// `AUDIT_ARCH_I386`, which a 64-bit program reaches by `int 0x80`, and `AUDIT_ARCH_ARM`.
    const OTHERS: [u32; 3] = [0x4000_0003, 0x4000_0028, 0];
    for role in ROLES {
        let program = program(role);
        for rule in rules(role, NUMBERS) {
            let number = u32::try_from(rule.number).expect("small");
            for architecture in OTHERS {
                assert_eq!(run(&program, architecture, number, fitting(&rule)), KILL);
            }
            assert_eq!(run(&program, ARCHITECTURE, number | 0x4000_0000, fitting(&rule)), KILL, "{}", rule.name);
        }
    }
}

#[test]
fn no_rule_is_there_twice_and_the_programs_are_short() {
    for role in ROLES {
        let mut known = super::known_numbers(role);
        known.sort_unstable();
        let before = known.len();
        known.dedup();
        assert_eq!(known.len(), before, "{role:?}");
        assert!(program(role).len() < MOST_STEPS / 8, "{}", program(role).len());
    }
}

#[test]
fn no_role_gets_memory_that_it_can_execute_or_a_process() {
    for role in ROLES {
        let program = program(role);
        let answer =
            |number: i64, arguments| run(&program, ARCHITECTURE, u32::try_from(number).expect("small"), arguments);
        let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        for protection in 0..=255_u64 {
            let passes = answer(libc::SYS_mprotect, [0, 4096, protection, 0, 0, 0]) != KILL;
            assert_eq!(passes, matches!(protection, 0 | 1 | 3), "{protection}");
            assert_eq!(answer(libc::SYS_mmap, [0, 4096, protection, private, u64::MAX, 0]) != KILL, passes);
        }
        assert_eq!(answer(libc::SYS_mmap, [0, 4096, 3, libc::MAP_SHARED as u64, 5, 0]), KILL);
        assert_eq!(answer(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), KILL);
        assert_eq!(answer(libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 0x3d_0f00, 0, 0, 0, 0, 0]), KILL);
    }
}

#[test]
fn the_documentation_lists_every_call() {
    let page = include_str!("../../../../../docs/sandbox.md");
    for role in ROLES {
        for name in super::known_names(role) {
            assert!(page.contains(&format!("| `{name}` |")), "docs/sandbox.md does not tell of {name}");
        }
    }
}
