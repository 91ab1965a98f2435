//! Components, made from core modules with a component-type section.

use taskhost_engine::{Input, compile};
use taskhost_protocol::fault::Fault;
use taskhost_protocol::kernel::{CompileOptions, Kind};

use crate::support::{instance, mapper, result};

const ECHO: &str = "(call $ok (local.get $at) (local.get $len))";

#[test]
fn a_core_module_with_a_component_type_is_a_component() {
    let compiled = compile(&mapper("", ECHO), CompileOptions::default()).expect("it compiles");
    let info = compiled.info;
    assert_eq!(info.kind, Kind::Component);
    assert_eq!(
        info.why,
        "component: it exports taskhost:kernel/mapper@1.0.0, made from a core module with a component-type section"
    );
    assert!(info.exports.mapper && !info.exports.reducer);
    assert_eq!(info.export_names, ["taskhost:kernel/mapper@1.0.0"]);
    assert_eq!(info.initial_memory, 2 * 65536);
    assert_eq!(info.code_bytes, compiled.code.len() as u64);
}

#[test]
fn a_mapper_maps() {
    let mut instance = instance(&mapper("", ECHO));
    for item in [b"".as_slice(), b"a", b"hello", &[7; 300_000]] {
        assert_eq!(result(&mut instance, item).as_deref(), Ok(item));
    }
    assert!(!instance.is_poisoned());
}

#[test]
fn an_item_can_be_read_by_the_caller() {
    let mut instance = instance(&mapper("", ECHO));
    let mut got = Vec::new();
    let mut read = |buffer: &mut [u8]| {
        buffer.copy_from_slice(b"read");
        Ok(())
    };
    let input = Input::Read { len: 4, read: &mut read };
    instance
        .process(input, &mut |result| {
            got.extend_from_slice(result);
            Ok(())
        })
        .expect("it maps");
    assert_eq!(got, b"read");
    let mut read = |_: &mut [u8]| Err(std::io::Error::other("the disk is gone"));
    let input = Input::Read { len: 4, read: &mut read };
    let fault = instance.process(input, &mut |_| Ok(())).expect_err("nothing was read");
    assert_eq!(fault, Fault::Input("the disk is gone".into()));
    assert!(!instance.is_poisoned());
}
