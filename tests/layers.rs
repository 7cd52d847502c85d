//! The order of the layers: who may know whom. A layer knows those named beside it and none of the rest.

use std::collections::BTreeSet;
use std::path::Path;

const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("cores", &[]),
    ("frame", &[]),
    ("text", &["frame"]),
    ("crypto", &[]),
    ("wire", &["crypto"]),
    ("capture", &["frame", "limits"]),
    ("packet", &["frame", "limits", "wire"]),
    ("ahead", &["capture", "frame", "limits", "packet"]),
    ("track", &["crypto", "frame", "limits", "packet", "wire"]),
    ("model", &["crypto", "frame"]),
    ("diagnose", &["capture", "frame", "limits", "model", "text", "track", "wire"]),
    ("infer", &["limits", "model", "text", "track"]),
    ("extract", &["cores", "crypto", "limits", "model", "track", "wire"]),
    (
        "report",
        &[
            "capture", "cores", "crypto", "diagnose", "frame", "infer", "limits", "model", "packet", "text", "track",
            "wire",
        ],
    ),
];

/// The layers that the text of a file names as `crate::…`.
fn named(text: &str) -> BTreeSet<&str> {
    let names = text.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    names.filter(|name| !name.is_empty()).collect()
}

fn sources(path: &Path, found: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            sources(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn no_layer_knows_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, below) in LAYERS {
        let mut files = Vec::new();
        sources(&root.join(layer), &mut files);
        files.extend(Some(root.join(layer).with_extension("rs")).filter(|path| path.exists()));
        assert!(!files.is_empty(), "{layer} has no source");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source");
            for name in named(&text) {
                assert!(name == *layer || below.contains(&name), "{} names {name}", file.display());
            }
        }
    }
}

#[test]
fn every_layer_but_the_command_line_has_its_place() {
    let placed: BTreeSet<String> = LAYERS.iter().map(|(layer, _)| (*layer).to_owned()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found: BTreeSet<String> = std::fs::read_dir(root)
        .expect("src")
        .filter_map(|entry| Some(entry.expect("an entry").path().file_stem()?.to_string_lossy().into_owned()))
        .filter(|name| !["lib", "main", "cli"].contains(&name.as_str()))
        .collect();
    assert_eq!(placed, found);
}
