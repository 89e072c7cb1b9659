//! The pictures that a network was wrong about and most sure of.

use std::borrow::Cow;

use resnetc_pictures::Picture;
use resnetc_runtime::data::Source;
use resnetc_runtime::evaluation::{Answer, Evaluation};

use super::classes::name;
use crate::markup::escape;
use crate::page::thumbnail;

/// Pictures that are shown.
const SHOWN: usize = 24;

/// The most confident mistakes; one that cannot be shown is named.
pub fn mistakes(evaluation: &Evaluation, source: &dyn Source) -> String {
    let mut wrong: Vec<(usize, &Answer)> = evaluation
        .answers()
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.label != answer.predicted)
        .collect();
    if wrong.is_empty() {
        return String::new();
    }
    wrong.sort_by(|a, b| b.1.probability.total_cmp(&a.1.probability).then(a.0.cmp(&b.0)));
    let mut out = String::from("<h2>Most confident mistakes</h2>\n<div class=\"mistakes\">\n");
    for (index, answer) in wrong.into_iter().take(SHOWN) {
        let image = shown(source, index).unwrap_or_else(|| "<small>cannot be shown</small>".to_owned());
        let [label, predicted] = [answer.label, answer.predicted].map(|class| name(source.classes(), class));
        out += &format!(
            "<figure>{image}<figcaption>{label}, taken for <b>{predicted}</b>, {:.0} %<br><small>{}</small></figcaption></figure>\n",
            answer.probability * 100.0,
            escape(&short(&source.identifier(index)))
        );
    }
    out + "</div>\n"
}

/// The end of a path.
fn short(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    if path.parse::<usize>().is_ok() { format!("image {path}") } else { name.to_owned() }
}

fn shown(source: &dyn Source, index: usize) -> Option<String> {
    let picture = source.original(index).ok()?;
    let [height, width, channels] = picture.size();
    let pixels = match channels {
        Picture::CHANNELS => Cow::Borrowed(picture.pixels()),
        1 => picture.pixels().iter().flat_map(|&grey| [grey; Picture::CHANNELS]).collect(),
        _ => return None,
    };
    thumbnail(&Picture::new(width, height, pixels.into_owned())).ok()
}
