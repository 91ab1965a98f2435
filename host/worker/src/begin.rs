//! The kernel's own start-up, inside the walls: what it says of itself, its settings, `lifecycle.start`.

use std::sync::Arc;

use taskhost_engine::{BroadcastData, HostContext, LoadedKernel};
use taskhost_protocol::fault::{Fault, Refusal};
use taskhost_protocol::kernel::Description;
use taskhost_protocol::message::StartExecute;

use crate::kernel::Kernel;

/// Starts a kernel that was loaded, and hears what it says of itself.
pub(crate) fn begin(
    loaded: LoadedKernel,
    start: &StartExecute,
    broadcast: Arc<BroadcastData>,
) -> Result<(Kernel, Option<Description>), Refusal> {
    let refuse = |what: &'static str| move |fault: Fault| Refusal::Start(format!("{what}: {fault}"));
    let mut context = HostContext {
        settings: Arc::new(start.settings.clone()),
        clock: start.clock,
        seed: start.seed,
        given: Arc::new(start.given.clone()),
        broadcast,
    };
    let mut instance =
        loaded.instantiate(context.clone()).map_err(refuse("the kernel failed when it was instantiated"))?;
    let described = instance.describe().map_err(refuse("the kernel's `describe` failed"))?;
    if let Some(description) = &described {
        let settings = settle(&start.settings, description, start.describe_only)?;
        if settings.len() > start.settings.len() {
            // Defaults came in, so the kernel starts anew with all of its settings.
            context.settings = Arc::new(settings);
            drop(instance);
            instance =
                loaded.instantiate(context.clone()).map_err(refuse("the kernel failed when it was instantiated"))?;
        }
    }
    if !start.describe_only {
        instance.start().map_err(|fault| match fault {
            // A kernel has no input yet when it starts: what it finds wrong is its settings.
            Fault::InvalidInput(text) => Refusal::Setting(text),
            fault => refuse("the kernel's `start` failed")(fault),
        })?;
    }
    // Each worker starts a kernel of its own, so what it counts there is no part of a sum.
    instance.drop_counters();
    Ok((Kernel::new(loaded, context, instance, start), described))
}

/// The settings with the defaults filled in. Names that the kernel does not know, and missing values that it needs,
/// are the user's mistakes.
fn settle(
    given: &[(String, String)],
    description: &Description,
    describe_only: bool,
) -> Result<Vec<(String, String)>, Refusal> {
    let known: Vec<&str> = description.settings.iter().map(|setting| setting.name.as_str()).collect();
    for (name, _) in given {
        if !known.contains(&name.as_str()) {
            let list =
                if known.is_empty() { "it takes none".into() } else { format!("it takes: {}", known.join(", ")) };
            return Err(Refusal::Setting(format!("the kernel has no setting `{name}`; {list}")));
        }
    }
    let mut settings = given.to_vec();
    for setting in &description.settings {
        if given.iter().any(|(name, _)| *name == setting.name) {
            continue;
        }
        match &setting.default {
            Some(default) => settings.push((setting.name.clone(), default.clone())),
            None if describe_only => {}
            None => {
                let (name, help) = (&setting.name, &setting.help);
                return Err(Refusal::Setting(format!(
                    "the kernel needs the setting `{name}` ({help}): add --config {name}=VALUE"
                )));
            }
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskhost_protocol::kernel::Setting;

    fn description() -> Description {
        let setting = |name: &str, default: Option<&str>| Setting {
            name: name.into(),
            default: default.map(Into::into),
            help: format!("the {name}"),
        };
        Description { settings: vec![setting("sigma", Some("2")), setting("width", None)], ..Description::default() }
    }

    fn given(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn defaults_are_filled_in() {
        let settings = settle(&given("width", "3"), &description(), false).expect("complete");
        assert_eq!(settings, [given("width", "3"), given("sigma", "2")].concat());
    }

    #[test]
    fn a_missing_setting_is_named() {
        let refusal = settle(&given("sigma", "1"), &description(), false).expect_err("width is missing");
        assert_eq!(refusal.to_string(), "the kernel needs the setting `width` (the width): add --config width=VALUE");
        assert!(settle(&[], &description(), true).is_ok(), "a description needs no settings");
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let refusal = settle(&given("sigme", "1"), &description(), false).expect_err("a typing error");
        assert_eq!(refusal.to_string(), "the kernel has no setting `sigme`; it takes: sigma, width");
    }
}
