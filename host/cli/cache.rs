//! `taskhost cache`: where compiled kernels are, which, and getting rid of them.

use anyhow::Result;
use taskhost_data::size::human_size;
use taskhost_pool::artifact::Cache;

use crate::args::{CacheArguments, CacheCommand};
use crate::exit_code::{Exit, Failure};
use crate::kernel::cache_folder;
use crate::report::{self, age};

pub(crate) fn run(arguments: &CacheArguments) -> Result<Exit> {
    let folder = cache_folder()
        .ok_or_else(|| Failure::usage("there is no place for a cache: set HOME or XDG_CACHE_HOME to a folder"))?;
    if matches!(arguments.command, CacheCommand::Path) {
        return Ok(report::line(&folder.display().to_string()));
    }
    let cache = Cache::open(&folder).map_err(|error| Failure::input(error.to_string()))?;
    let failed = |error: taskhost_pool::artifact::CacheError| Failure::input(error.to_string());
    match arguments.command {
        CacheCommand::Path => Ok(Exit::Done),
        CacheCommand::Ls => {
            let entries = cache.list().map_err(failed)?;
            let mut text = String::new();
            for entry in &entries {
                let name = entry.name.as_deref().unwrap_or("(unreadable)");
                let key = entry.path.file_stem().unwrap_or_default().to_string_lossy();
                let short = key.get(..12).unwrap_or(&key);
                text.push_str(&format!("{short}  {:>10}  {:>9}  {name}\n", human_size(entry.bytes), age(entry.made)));
            }
            Ok(report::text(&text))
        }
        CacheCommand::Clear => {
            let (count, bytes) = cache.clear().map_err(failed)?;
            let kernels = if count == 1 { "kernel" } else { "kernels" };
            Ok(report::line(&format!("deleted {count} compiled {kernels}, {}", human_size(bytes))))
        }
    }
}
