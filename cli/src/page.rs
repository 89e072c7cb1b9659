//! What pages of HTML share: their head, their style, and pictures within them. A page loads nothing, and its policy allows no connections.

use resnetc_compiler::spec::preprocess::Interpolation;
use resnetc_pictures::{Picture, heat};

use crate::failure::{Failure, Result};
use crate::markup::escape;

/// Longest side of a picture that is shown small.
const THUMBNAIL: usize = 224;

const STYLE: &str = ":root{color-scheme:light dark;--page:#fff;--card:#f6f8fa;--ink:#1f2328;--faint:#59636e;--line:#d1d9e0;\
--heat:9,105,218;--s0:#0969da;--s1:#bc4c00;--s2:#1a7f37;--s3:#8250df;--s4:#bf3989;--s5:#9a6700;--s6:#1b7c83;--s7:#57606a}\
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--card:#151b23;--ink:#e6edf3;--faint:#9198a1;--line:#3d444d;\
--heat:68,147,248;--s0:#4493f8;--s1:#f0883e;--s2:#3fb950;--s3:#a371f7;--s4:#f778ba;--s5:#d29922;--s6:#39c5cf;--s7:#9198a1}}\
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1.2em;max-width:72em;background:var(--page);color:var(--ink)}\
h1{font-size:1.6em;margin:.2em 0}h2{font-size:1.15em;margin:1.6em 0 .5em}pre{overflow-x:auto}\
td,th{padding:.2em .4em;text-align:left;vertical-align:top}img{display:block;max-width:14em;min-width:4em;height:auto}\
small{color:var(--faint)}";

/// The style of what pages about trainings have in common: curves side by side, wide tables, numbers in them.
pub const PARTS: &str = ".curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26em),1fr));gap:1em}\
.curves>div{border:1px solid var(--line);border-radius:8px;padding:.7em}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
.num{text-align:right;white-space:nowrap}";

/// Everything before a page's content; `style` is what it has beside the common one.
pub fn head(title: &str, style: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n<title>{title}</title>\n\
         <style>{STYLE}{style}</style></head>\n<body>",
        title = escape(title)
    )
}

/// Everything behind it.
pub const FOOT: &str = "</body>\n</html>\n";

/// A picture as it is, no longer than a thumbnail.
///
/// # Errors
/// Where it has no pixels.
pub fn thumbnail(picture: &Picture) -> Result<String> {
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height).max(THUMBNAIL);
    let size = [width, height].map(|side| (side * THUMBNAIL / longer).max(1));
    let small = resnetc_pictures::resize::resize(
        picture.view(),
        size,
        Interpolation::Bilinear,
        u64::MAX,
        &mut Default::default(),
    );
    image(&small.map_err(Failure::failed)?)
}

/// A picture within the page.
///
/// # Errors
/// Where it is too large for PNG.
pub fn image(picture: &Picture) -> Result<String> {
    let png = heat::png(picture).map_err(Failure::failed)?;
    Ok(format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", base64(&png)))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in known {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
