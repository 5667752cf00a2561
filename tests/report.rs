//! `eagle-lab report`: a page that is whole by itself.
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{call, fixture, folder, refuse, succeed, text, write};

/// Runs a study of two trials and two seeds, one that fails, and an experiment; writes the page.
fn reported(home: &Path) -> String {
    let out = home.join("results");
    let tiny = std::fs::read_to_string(fixture("runs/tiny.ron")).expect("a file");
    let tiny = tiny.replace("samples: 256", "samples: 64").replace("samples: 512", "samples: 64");
    let tiny = tiny.replace("\"convnext\", \"project\"", "\"convnext\", \"fuse\", \"project\"");
    write(home, "tiny.ron", &tiny);
    let study = write(
        home,
        "study.ron",
        r#"Study(name: "two-fusions", base: "tiny.ron", seeds: [0, 1],
        vary: [Node("fuse", [ChannelConcat(grid: 4), SequenceAppend()])])"#,
    );
    let broken = write(
        home,
        "broken.ron",
        r#"Study(name: "broken", base: "tiny.ron",
        vary: [Set("stages.fine-tuning.lr", [1e-3, 1e30])])"#,
    );
    let alone = home.join("tiny.ron");
    let run = ["run", text(&study), text(&alone), "--out", text(&out), "--threads", "1"];
    succeed(&run);
    let failed = call(&["run", text(&broken), "--out", text(&out), "--threads", "1"]);
    assert_eq!(failed.status.code(), Some(1), "one of its trials fails");
    let page = home.join("report.html");
    let said = succeed(&["report", "--out", text(&out), "--to", text(&page)]);
    assert!(said.contains("3 studies and experiments, 7 runs"), "{said}");
    std::fs::read_to_string(page).expect("a page")
}

/// An element's name and its attributes.
type Tag<'a> = (&'a str, BTreeMap<&'a str, &'a str>);

/// Every element of a document in order; panics where it is not well-formed.
fn elements(html: &str) -> Vec<Tag<'_>> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("a document's type");
    while let Some(at) = rest.find('<') {
        let plain = &rest[..at];
        assert!(!plain.contains('>') || open.last() == Some(&"style"), "a bare > in {plain:?}");
        references(plain, open.last() == Some(&"style"));
        let end = at + rest[at..].find('>').expect("a tag's end");
        let inner = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed before {:?}", &rest[..rest.len().min(60)]);
            continue;
        }
        let (inner, alone) = (inner.trim_end_matches('/'), inner.ends_with('/'));
        let name = inner.split_whitespace().next().expect("a name");
        found.push((name, attributes(&inner[name.len()..])));
        if !alone {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    found
}

fn attributes(mut text: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    while let Some((name, after)) = text.trim_start().split_once("=\"") {
        let (value, after) = after.split_once('"').expect("a value's end");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name:?}");
        references(value, false);
        assert!(found.insert(name, value).is_none(), "{name} twice");
        text = after;
    }
    assert!(text.trim().is_empty(), "what is {text:?}?");
    found
}

/// Every & begins a reference that XML and HTML share.
fn references(text: &str, style: bool) {
    for part in text.split('&').skip(1).filter(|_| !style) {
        let name = part.split(';').next().unwrap_or_default();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "&{name};");
    }
}

#[test]
fn a_page_is_well_formed_whole_by_itself_and_names_every_run() {
    let home = folder();
    let html = reported(home.path());
    let all = elements(&html);
    let mut ids = BTreeSet::new();
    for (name, attributes) in &all {
        if let Some(id) = attributes.get("id") {
            assert!(ids.insert(*id), "two elements are called {id}");
        }
        assert!(
            !["script", "link", "iframe", "object", "embed", "base"].contains(name),
            "<{name}>"
        );
        assert!(attributes.keys().all(|key| !key.starts_with("on")), "a script in <{name}>");
        if *name == "img" {
            assert!(
                attributes["src"].starts_with("data:image/jpeg;base64,"),
                "{}",
                attributes["src"]
            );
            assert!(attributes["alt"].len() > 10, "a picture without words");
        }
        if *name == "svg" && !attributes.contains_key("aria-hidden") {
            assert!(attributes.contains_key("aria-labelledby") && attributes["role"] == "img");
        }
    }
    for (_, attributes) in &all {
        for id in attributes.get("aria-labelledby").iter().flat_map(|ids| ids.split(' ')) {
            assert!(ids.contains(id), "no element is called {id}");
        }
        if let Some(target) = attributes.get("href") {
            let id = target.strip_prefix('#').expect("a place on this page");
            assert!(ids.contains(id), "no element is called {id}");
        }
        if let Some(marker) = attributes.get("marker-end") {
            let id = marker.strip_prefix("url(#").and_then(|id| id.strip_suffix(')'));
            assert!(id.is_some_and(|id| ids.contains(id)), "{marker}");
        }
    }
    // Letters of a picture's bytes say nothing.
    let mut parts = html.split("data:image/jpeg;base64,");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| plain += part.split_once('"').expect("a picture's end").1);
    for outside in ["http:", "https:", "//", "@import", "@font-face", "javascript:"] {
        assert!(!plain.contains(outside), "{outside} in the page");
    }
    let runs = std::fs::read_dir(home.path().join("results/runs")).expect("runs");
    for run in runs {
        let name = run.expect("a run").file_name().into_string().expect("UTF-8");
        let id = name.rsplit('-').next().expect("an id");
        assert!(html.contains(id), "no run {id}");
    }
    for part in [
        "id=\"findings\"",
        "class=\"findings\"",
        "two-fusions",
        "fuse=SequenceAppend",
        "id=\"provenance\"",
        "the last good state is the checkpoint",
        "<polyline class=\"curve s1\"",
        "class=\"mark\"",
        "class=\"box trained\"",
        "mini-colour",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.len() < 600 * 1024, "{} KiB", html.len() >> 10);
}

#[test]
fn the_same_runs_give_the_same_page_and_a_part_can_be_asked_for() {
    let home = folder();
    let first = reported(home.path());
    let (out, again) = (home.path().join("results"), home.path().join("again.html"));
    let report = |more: &[&str]| {
        succeed(&[&["report", "--out", text(&out), "--to", text(&again)][..], more].concat());
        std::fs::read_to_string(&again).expect("a page")
    };
    assert!(report(&[]) == first, "another page");
    let part = report(&["two-fusions", "--questions", "0"]);
    assert!(
        !part.contains("data:image") && !part.contains("study-broken"),
        "more than was asked for"
    );
    let (code, said) = refuse(&["report", "fusions", "--out", text(&out)]);
    assert!(code == 2 && said.contains("`two-fusions`"), "{said}");
}

/// A Chromium, if there is one.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = places.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    std::env::var_os("CHROME")
        .map(PathBuf::from)
        .into_iter()
        .chain(found)
        .find(|path| path.is_file())
}

/// What shows in the title how wide the page is, and what of it is wider than that. Chromium's window
/// has at least 500 pixels; a phone's page is made narrower.
const MEASURE: &str =
    "<style>html{max-width:WIDTHpx}</style><script>addEventListener('load',function(){
var w=WIDTH,wide=[];
document.querySelectorAll('main *, header *').forEach(function(e){
var inside=e.closest('.wide');var r=e.getBoundingClientRect();
if((!inside||inside===e)&&r.width>0&&r.right>w+1)wide.push(e.tagName+' '+Math.round(r.right));});
document.title='MEASURED '+w+' ['+wide.slice(0,3).join(', ')+'] '
+document.querySelectorAll('svg').length+' '+document.images.length+' '
+[].every.call(document.images,function(i){return i.naturalWidth>0});});</script></body>";

#[test]
fn a_browser_lays_it_out_on_a_phone_on_a_desk_and_on_paper() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: there is no Chromium here (PATH, or its path in CHROME)");
        return;
    };
    let home = folder();
    let html = reported(home.path());
    let profile = format!("--user-data-dir={}", text(&home.path().join("profile")));
    let browse = |more: &[&str]| {
        let output = Command::new(&browser)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                &profile,
            ])
            .args(more)
            .output()
            .expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let page = |width: &str| {
        let measured = html.replace("</body>", &MEASURE.replace("WIDTH", width));
        let file = write(home.path(), &format!("{width}.html"), &measured);
        format!("file://{}", text(&file))
    };
    for (width, dark) in [("390", false), ("390", true), ("1280", false)] {
        let url = page(width);
        let size = format!("--window-size={width},900");
        let mut arguments = vec![size.as_str(), "--dump-dom"];
        arguments.extend(dark.then_some("--force-dark-mode"));
        arguments.push(&url);
        let dom = browse(&arguments);
        let title =
            dom.split_once("<title>MEASURED ").and_then(|(_, rest)| rest.split_once("</title>"));
        let title =
            title.map(|(title, _)| title).unwrap_or_else(|| panic!("not measured: {dom:.400}"));
        assert!(title.contains(" [] "), "wider than the window of {width}: {title}");
        assert!(title.ends_with(" true"), "a picture is broken: {title}");
    }
    let pdf = home.path().join("report.pdf");
    browse(&[&format!("--print-to-pdf={}", text(&pdf)), &page("1280")]);
    let pdf = std::fs::read(pdf).expect("a PDF");
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{} bytes", pdf.len());
}
