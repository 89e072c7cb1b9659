//! Writes a data set's pictures, decoded, into one file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use resnetc_compiler::spec::preprocess::Interpolation;
use resnetc_pictures::resize::{Resizer, by_shorter_side, resize};
use resnetc_pictures::stream::{Crew, ordered};
use resnetc_pictures::{Limits, View};

use super::format::{CHANNELS, Entry, HEAD, Index};
use crate::data::source::{Dataset, Picture, Source};
use crate::error::{Error, Result};
use crate::files::Staged;

/// How pictures are packed.
#[derive(Debug, Clone, Copy)]
pub struct Packing<'a> {
    /// Pixels of the shorter side of what is larger; nothing is enlarged. All stay as they are where it is `None`.
    pub shorter: Option<usize>,
    /// Whether what cannot be read is an error, and not left out.
    pub fail: bool,
    /// Threads that decode.
    pub threads: usize,
    /// Ends the work: the file is then as it was before.
    pub stop: &'a AtomicBool,
}

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Pictures to train on.
    pub train: usize,
    /// Pictures to evaluate on.
    pub test: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// Why pictures were left out, a line each.
    pub left_out: Vec<String>,
}

/// Writes all pictures of a data set, decoded, as three bytes a pixel, into a file, which is there when it is whole and on the disk, and
/// not before. `progress` hears how many are done. `None` where it was stopped.
///
/// # Errors
/// Where a picture cannot be read and that is to fail, or has another number of channels than 1 or 3; where the disk is full.
pub fn pack(
    dataset: &Dataset,
    path: &Path,
    packing: &Packing<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Option<Packed>> {
    let failed = |source: io::Error| Error::Io { path: path.to_owned(), source };
    let mut staged = Staged::beside(path).map_err(failed)?;
    let made = fill(staged.file(), dataset, packing, progress).map_err(|fault| fault.of(path))?;
    if made.is_some() {
        staged.file().sync_all().map_err(failed)?;
        staged.persist(path).map_err(failed)?;
    }
    Ok(made)
}

/// Writes pixels, index and head.
fn fill(
    file: &mut File,
    dataset: &Dataset,
    packing: &Packing<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Option<Packed>, Fault> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    // The head is written last: before, nothing takes the file for whole.
    writer.write_all(&[0; HEAD]).map_err(Fault::Write)?;
    let mut part = Part { writer, end: HEAD as u64, done: 0, left_out: Vec::new() };
    let Some(train) = part.add(&*dataset.train, packing, progress)? else { return Ok(None) };
    let Some(test) = part.add(&*dataset.test, packing, progress)? else { return Ok(None) };
    let any_size = dataset.train.any_size();
    let index = Index { any_size, classes: dataset.classes().to_vec(), train, test };
    let Part { mut writer, end, left_out, .. } = part;
    let (head, bytes) = index.to_bytes(end);
    let mut close = || {
        writer.write_all(&bytes)?;
        writer.seek(SeekFrom::Start(0))?;
        writer.write_all(&head)?;
        writer.flush()
    };
    close().map_err(Fault::Write)?;
    let (train, test) = (index.train.len(), index.test.len());
    Ok(Some(Packed { train, test, bytes: end + bytes.len() as u64, left_out }))
}

/// Why packing ends.
enum Fault {
    /// A picture.
    Data(Error),
    /// The file that is written.
    Write(io::Error),
}

impl Fault {
    fn of(self, path: &Path) -> Error {
        match self {
            Fault::Data(error) => error,
            Fault::Write(source) => Error::Io { path: path.to_owned(), source },
        }
    }
}

/// The file as far as it is written.
struct Part<W> {
    writer: W,
    end: u64,
    /// Pictures that were asked for.
    done: usize,
    left_out: Vec<String>,
}

impl<W: Write> Part<W> {
    /// Adds all pictures of a source, in their order; `None` where it was stopped.
    fn add(
        &mut self,
        source: &dyn Source,
        packing: &Packing<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Option<Vec<Entry>>, Fault> {
        let mut entries = Vec::with_capacity(source.len());
        let (mut fault, mut stopped) = (None, false);
        let work = |resizer: &mut Resizer, index: usize| made(source, index, packing.shorter, resizer);
        let crew = Crew { threads: packing.threads, ahead: 4 * packing.threads.max(1) };
        ordered(source.len(), crew, Resizer::default, work, |index, picture| {
            let kept = match picture {
                Ok(picture) => self.write(&picture, source.label(index)).map(|entry| entries.push(entry)),
                Err(error) if packing.fail => Err(Fault::Data(error)),
                Err(error) => {
                    self.left_out.push(error.to_string());
                    Ok(())
                }
            };
            self.done += 1;
            progress(self.done);
            fault = kept.err();
            stopped = packing.stop.load(Ordering::Relaxed);
            if fault.is_some() || stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match fault {
            Some(fault) => Err(fault),
            None => Ok((!stopped).then_some(entries)),
        }
    }

    fn write(&mut self, picture: &Picture<'_>, label: u32) -> Result<Entry, Fault> {
        let [height, width, _] = picture.size().map(|side| side as u32);
        self.writer.write_all(picture.pixels()).map_err(Fault::Write)?;
        let entry = Entry { start: self.end, height, width, label };
        self.end += entry.bytes();
        Ok(entry)
    }
}

/// A picture in three colours, as small as it is asked for.
fn made<'s>(
    source: &'s dyn Source,
    index: usize,
    shorter: Option<usize>,
    resizer: &mut Resizer,
) -> Result<Picture<'s>> {
    let picture = source.original(index)?;
    let [height, width, channels] = picture.size();
    let picture = match channels {
        CHANNELS => picture,
        1 => {
            let colours: Vec<u8> = picture.pixels().iter().flat_map(|&grey| [grey; CHANNELS]).collect();
            Picture::new([height, width, CHANNELS], Cow::Owned(colours))
        }
        _ => {
            let text = format!("{} has {channels} channels, 1 or 3 are packed", source.called(index));
            return Err(Error::Data(text));
        }
    };
    let Some(shorter) = shorter.filter(|&shorter| shorter < height.min(width)) else { return Ok(picture) };
    let view = View::new(width, height, picture.pixels());
    let size = by_shorter_side(view, shorter);
    let most = Limits::default().pixels;
    let smaller = resize(view, size, Interpolation::Bilinear, most, resizer)
        .map_err(|error| Error::Data(format!("{}: {error}", source.called(index))))?;
    Ok(Picture::new([smaller.height(), smaller.width(), CHANNELS], smaller.into_pixels()))
}
