//! A picture job in the making: what the input is, what its result looks like.

use std::path::Path;

use taskhost_data::formats::{ImageKind, image_kind};
use taskhost_pool::event::JobFailure;
use taskhost_pool::job::{JobSpec, JobWork, Output};

use crate::args::RunArguments;
use crate::feed::{path_of, picture_source};
use crate::inputs::Found;
use crate::report::Notes;
use crate::{output, picture, plan};

/// A picture job in the making.
pub(crate) struct PictureWork {
    source: taskhost_pool::job::SourceFile,
    input: picture::PictureInput,
    form: taskhost_pool::job::PictureForm,
}

impl PictureWork {
    /// Looks at an input and decides what its result looks like.
    pub(crate) fn new(found: &Found, output: Option<&Path>, arguments: &RunArguments) -> Result<Self, JobFailure> {
        let (source, len) = picture_source(found)?;
        let name = source.name.clone();
        let wrong = |text: String| JobFailure::Input(format!("{name}: {text}"));
        let file = source.file.try_clone().map_err(|error| wrong(error.to_string()))?;
        let file = std::fs::File::from(file);
        let input = picture::look(&file, path_of(found), len, &arguments.picture).map_err(&wrong)?;
        if let Some(work) = output.and_then(|path| output::work(path, arguments)) {
            let kind = output::kind(&work);
            return Err(JobFailure::Output(format!("{name}: no picture can be {kind}: name the result otherwise")));
        }
        let form = picture::form(&input, output.or_else(|| path_of(found))).map_err(&wrong)?;
        Ok(Self { source, input, form })
    }

    /// Notes that a raw result gets an ENVI header beside it when its input had one, so that it can be an input again.
    pub(crate) fn note(&self, output: Option<&Path>, notes: &Notes) {
        let samples = matches!(&self.form, taskhost_pool::job::PictureForm::Samples { .. });
        if let Some(path) = output.filter(|path| samples && image_kind(path) != Some(ImageKind::Npy))
            && self.input.kind == picture::InputKind::Envi
        {
            notes.sidecars.borrow_mut().insert(path.to_owned(), self.input.planes);
        }
    }

    /// The job.
    pub(crate) fn spec(self, name: String, output: Output, arguments: &RunArguments) -> JobSpec {
        let own_file = matches!(output, Output::File(_));
        let plan =
            picture::plan(&self.input, &self.form, own_file, (plan::batch(arguments), plan::on_error(arguments)));
        JobSpec { name, work: JobWork::Picture { plan, source: self.source, output, form: self.form } }
    }
}
