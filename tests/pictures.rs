//! Pictures in every form, compared byte for byte with filters written in plain Rust.

use image::{ExtendedColorType, ImageEncoder as _};

use crate::harness::Place;
use crate::native::{Picture, Sample};

const WORKERS: [&str; 4] = ["1", "2", "3", "7"];

/// The flags that say the geometry of a raw picture.
fn geometry(picture: &Picture) -> String {
    let Picture { width, height, channels, sample, .. } = picture;
    format!("--size {width}x{height} --channels {channels} --sample {}", sample.name())
}

/// Runs a filter over a raw picture in every way and compares.
#[track_caller]
fn always_gives(kernel: &str, picture: &Picture, wanted: &Picture) {
    let place = Place::new();
    let wanted = wanted.bytes();
    place.write("in.raw", picture.bytes());
    for workers in WORKERS {
        let run = format!("run {kernel} {} -j {workers}", geometry(picture));
        place.taskhost(&run).arguments("in.raw -o out.raw").run().success();
        assert!(place.read("out.raw") == wanted, "{run}: from a file to a file");
        for batch in ["1", "10", "auto"] {
            let piped = place.taskhost(&run).arguments("--batch").argument(batch).input(picture.bytes()).run();
            assert!(piped.success().stdout == wanted, "{run}: through pipes in batches of {batch}");
        }
    }
}

#[test]
fn sobel_of_every_type_of_sample() {
    for sample in Sample::ALL {
        let picture = Picture::noise((61, 47), 2, sample);
        always_gives("sobel", &picture, &picture.sobel());
    }
}

#[test]
fn sobel_of_a_large_picture() {
    let picture = Picture::noise((2000, 2000), 1, Sample::F64);
    let place = Place::new();
    place.write("img.raw", picture.bytes());
    let wanted = picture.sobel().bytes();
    for workers in ["1", "2"] {
        let run = "run sobel --input img.raw --size 2000x2000 --sample f64 --output out.raw --workers";
        place.taskhost(run).argument(workers).run().success();
        assert!(place.read("out.raw") == wanted, "{workers} workers");
    }
}

#[test]
fn blur_grayscale_and_resize() {
    let picture = Picture::noise((50, 90), 3, Sample::U8);
    always_gives("gaussian-blur", &picture, &picture.blur(2.0));
    always_gives("gaussian-blur -c sigma=7.5", &picture, &picture.blur(7.5));
    always_gives("grayscale", &picture, &picture.grayscale());
    always_gives("resize -c width=25 -c height=45", &picture, &picture.smaller(2));
    always_gives("resize -c width=10 -c height=18", &picture, &picture.smaller(5));
    always_gives("resize -c width=100 -c height=180", &picture, &picture.doubled());
    let deep = Picture::noise((40, 30), 1, Sample::U16);
    always_gives("gaussian-blur -c sigma=1", &deep, &deep.blur(1.0));
    always_gives("resize -c width=80 -c height=60", &deep, &deep.doubled());
}

#[test]
fn pictures_of_extreme_shapes() {
    for size in [(1, 1), (1, 100), (100, 1), (2, 2), (3, 3), (1, 5000)] {
        let picture = Picture::noise(size, 1, Sample::U8);
        always_gives("sobel", &picture, &picture.sobel());
        always_gives("gaussian-blur -c sigma=3", &picture, &picture.blur(3.0));
    }
}

/// A NumPy array of two dimensions, or three.
fn npy(picture: &Picture) -> Vec<u8> {
    let Picture { width, height, channels, .. } = picture;
    let shape =
        if *channels == 1 { format!("({height}, {width})") } else { format!("({height}, {width}, {channels})") };
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&picture.bytes());
    file
}

#[test]
fn flags_a_sidecar_and_an_array_say_the_same_geometry() {
    let picture = Picture::noise((30, 20), 1, Sample::F64);
    let wanted = picture.sobel();
    let place = Place::new();
    place.write("img.raw", picture.bytes());
    place.write("img.npy", npy(&picture));
    place.taskhost("run sobel img.raw --size 30x20 --sample f64 -o flags.raw").run().success();
    assert!(place.read("flags.raw") == wanted.bytes());
    let header = "ENVI\nsamples = 30\nlines = 20\nbands = 1\ndata type = 5\ninterleave = bip\nbyte order = 0\n";
    place.write("img.hdr", header);
    place.taskhost("run sobel img.raw -o sidecar.raw").run().success();
    assert!(place.read("sidecar.raw") == wanted.bytes());
    // The result has a header of its own, so that it can be an input again.
    place.taskhost("run sobel sidecar.raw -o twice.raw").run().success();
    assert!(place.read("twice.raw") == wanted.sobel().bytes());
    place.taskhost("run sobel img.npy -o array.npy").run().success();
    assert!(place.read("array.npy") == npy(&wanted));
    place.taskhost("run sobel img.npy -o array.raw").run().success();
    assert!(place.read("array.raw") == wanted.bytes());
    place.taskhost("run sobel img.raw -o raw.npy").run().success();
    assert!(place.read("raw.npy") == npy(&wanted));
    let deep = Picture::noise((9, 8), 3, Sample::F64);
    place.write("deep.npy", npy(&deep));
    place.taskhost("run sobel deep.npy -o deep-out.npy").run().success();
    assert!(place.read("deep-out.npy") == npy(&deep.sobel()));
}

#[test]
fn an_array_that_is_piped() {
    let picture = Picture::noise((33, 21), 1, Sample::F64);
    let outcome = Place::new().taskhost("run sobel").input(npy(&picture)).run().success();
    assert!(outcome.stdout == npy(&picture.sobel()));
}

#[test]
fn bands_one_after_the_other_are_pictures_of_their_own() {
    for sample in [Sample::U8, Sample::I16, Sample::F32] {
        let bands: Vec<Picture> = (0..3).map(|band| Picture::noise((40, 30 + band), 1, sample)).collect();
        let bands: Vec<Picture> = bands
            .into_iter()
            .map(|band| Picture { height: 30, values: band.values[..1200].to_vec(), ..band })
            .collect();
        let joined = |bands: &[Picture]| bands.iter().flat_map(Picture::bytes).collect::<Vec<u8>>();
        let place = Place::new();
        place.write("img.bsq", joined(&bands));
        let header = format!("data type = {}\ninterleave = bsq\nbyte order = 0\n", sample.envi());
        place.write("img.hdr", format!("ENVI\nsamples = 40\nlines = 30\nbands = 3\n{header}"));
        let wanted: Vec<Picture> = bands.iter().map(Picture::sobel).collect();
        for workers in WORKERS {
            place.taskhost("run sobel img.bsq -o out.bsq -j").argument(workers).run().success();
            assert!(place.read("out.bsq") == joined(&wanted), "{workers} workers, {}", sample.name());
        }
        let header = place.text("out.hdr");
        assert!(header.contains("interleave = bsq") && header.contains("bands = 3"), "{header}");
        place.taskhost("run sobel img.bsq -o out.png").run().code(5);
    }
}

fn png(picture: &Picture) -> Vec<u8> {
    let colour = match picture.channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    encoder.write_image(&picture.bytes(), picture.width as u32, picture.height as u32, colour).unwrap();
    file
}

fn decoded(file: &[u8]) -> Picture {
    let picture = image::load_from_memory(file).unwrap();
    let size = (picture.width() as usize, picture.height() as usize);
    Picture::from_u8(size, picture.color().channel_count().into(), picture.as_bytes())
}

#[test]
fn png_in_and_out() {
    for channels in 1..=4 {
        let picture = Picture::noise((64, 33), channels, Sample::U8);
        let place = Place::new();
        place.write("in.png", png(&picture));
        place.taskhost("run sobel in.png -o out.png").run().success();
        assert!(decoded(&place.read("out.png")) == picture.sobel(), "{channels} channels");
        let piped = place.taskhost("run sobel").input(png(&picture)).run().success();
        assert!(piped.stdout == place.read("out.png"), "{channels} channels, piped");
        place.taskhost("run sobel in.png -o out.npy").run().success();
        assert!(place.read("out.npy").ends_with(&picture.sobel().bytes()), "{channels} channels, to an array");
    }
}

#[test]
fn jpeg_in_and_out() {
    let place = Place::new();
    let mut file = Vec::new();
    let noise = Picture::noise((64, 48), 3, Sample::U8).blur(3.0);
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95);
    encoder.write_image(&noise.bytes(), 64, 48, ExtendedColorType::Rgb8).unwrap();
    place.write("in.jpg", &file);
    // What a decoder makes of it is the picture.
    let picture = decoded(&file);
    place.taskhost("run grayscale in.jpg -o out.png").run().success();
    assert!(decoded(&place.read("out.png")) == picture.grayscale());
    place.taskhost("run gaussian-blur in.jpg -o out.jpg").run().success();
    let out = decoded(&place.read("out.jpg"));
    let blurred = picture.blur(2.0);
    let off = out.values.iter().zip(&blurred.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!((out.width, out.height, out.channels) == (64, 48, 3) && off < 24.0, "{off}");
}

#[test]
fn pgm_and_ppm_in_and_out() {
    for (channels, magic) in [(1, "P5"), (3, "P6")] {
        let picture = Picture::noise((31, 17), channels, Sample::U8);
        let pnm = |picture: &Picture| [format!("{magic}\n31 17\n255\n").as_bytes(), &picture.bytes()].concat();
        let place = Place::new();
        place.write("in.pnm", pnm(&picture));
        place.taskhost("run sobel in.pnm -o out.pnm").run().success();
        assert!(place.read("out.pnm") == pnm(&picture.sobel()), "{magic}");
        place.taskhost("run sobel in.pnm -o out.png").run().success();
        assert!(decoded(&place.read("out.png")) == picture.sobel(), "{magic} to PNG");
    }
}

/// A folder of small pictures of all sizes and numbers of channels, by their names.
fn album(place: &Place, count: usize) -> Vec<(String, Picture)> {
    let pictures = (0..count).map(|number| {
        let picture = Picture::noise((5 + number * 7 % 40, 4 + number * 5 % 30), 1 + number % 4, Sample::U8);
        let name = format!("{}/picture {number}.png", ["a", "b", "c/d"][number % 3]);
        place.write(&format!("in/{name}"), png(&picture));
        (name, picture)
    });
    pictures.collect()
}

#[test]
fn a_folder_of_pictures_to_a_folder() {
    let place = Place::new();
    let album = album(&place, 60);
    for workers in ["1", "3"] {
        let outcome =
            place.taskhost("run sobel in -o").argument(format!("{workers}/")).arguments("-j").argument(workers);
        let outcome = outcome.run().success();
        assert!(outcome.stderr.starts_with("60 items, "), "{}", outcome.stderr);
        for (name, picture) in &album {
            assert!(decoded(&place.read(&format!("{workers}/{name}"))) == picture.sobel(), "{name}");
        }
    }
    for (name, _) in &album {
        assert!(place.read(&format!("1/{name}")) == place.read(&format!("3/{name}")), "{name}");
    }
    assert_eq!(place.files().iter().filter(|name| name.starts_with("1/")).count(), 60);
}

#[test]
fn one_unreadable_picture_costs_one_file() {
    let place = Place::new();
    let album = album(&place, 9);
    place.write("in/b/broken.png", b"\x89PNG\r\n\x1a\nand nothing else");
    place.write("in/c/text.png", b"not a picture at all");
    let outcome = place.taskhost("run sobel in -o out/ --report r.json").run().code(3);
    for name in ["b/broken.png: ", "c/text.png: "] {
        assert!(outcome.stderr.contains(&format!("error: {name}")), "{}", outcome.stderr);
    }
    assert!(outcome.stderr.ends_with("failed: output written without 2 items: out/\n"), "{}", outcome.stderr);
    for (name, picture) in &album {
        assert!(decoded(&place.read(&format!("out/{name}"))) == picture.sobel(), "{name}");
    }
    assert_eq!(place.files().iter().filter(|name| name.starts_with("out/")).count(), 9);
    assert!(place.text("r.json").contains("\"failed_jobs\": 2"));
}

#[test]
fn pictures_change_their_format_by_template() {
    let place = Place::new();
    place.write("in/a.png", png(&Picture::noise((12, 10), 3, Sample::U8)));
    place.write("in/b.png", png(&Picture::noise((7, 9), 3, Sample::U8)));
    place.taskhost("run grayscale in -o out/{stem}.pgm").run().success();
    assert!(place.read("out/a.pgm").starts_with(b"P5\n12 10\n"));
    assert!(place.read("out/b.pgm").starts_with(b"P5\n7 9\n"));
}

/// Sets each row to a random number, drawn once for each strip, and the number of the row.
fn noise() -> Vec<u8> {
    let random = r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let kernel = r#"(func (export "taskhost:kernel/image-filter@1.0.0#prepare") (param i32 i32 i32 i32) (result i32)
             (i32.store (i32.const 16) (i32.const 0))
             (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 0))
             (i32.store (i32.const 28) (local.get 0)) (i32.store (i32.const 32) (local.get 1))
             (i32.store (i32.const 36) (local.get 2)) (i32.store (i32.const 40) (local.get 3))
             (i32.const 16))
           (func (export "taskhost:kernel/image-filter@1.0.0#filter")
             (param $width i32) (param i32 i32 i32) (param $first i32) (param $rows i32) (param i32 i32)
             (param $at i32) (param $len i32) (result i32) (local $row i32)
             (drop (call $random (i32.const 64) (i32.const 8)))
             (loop $next
               (memory.fill
                 (i32.add (local.get $at) (i32.mul (local.get $row) (local.get $width)))
                 (i32.add (i32.load (i32.const 64)) (i32.add (local.get $first) (local.get $row)))
                 (local.get $width))
               (local.set $row (i32.add (local.get $row) (i32.const 1)))
               (br_if $next (i32.lt_u (local.get $row) (local.get $rows))))
             (call $ok (local.get $at) (local.get $len)))
           (func (export "cabi_post_taskhost:kernel/image-filter@1.0.0#filter") (param i32) (call $reset))"#;
    let world = "package taskhost:noise; world noise { include taskhost:kernel/host@1.0.0;
        export taskhost:kernel/image-filter@1.0.0; }";
    crate::recorded::module(world, random, kernel)
}

/// All strips of a picture are given the same random numbers.
#[test]
fn random_numbers_do_not_depend_on_how_a_picture_is_cut() {
    let place = Place::new();
    place.write("noise.wasm", noise());
    place.write("in.pgm", [b"P5\n100 3000\n255\n".as_slice(), &vec![7; 300_000]].concat());
    let run = |flags: &str| {
        let run = place.taskhost("run noise.wasm in.pgm -o out.pgm").arguments(flags).run();
        run.success();
        place.read("out.pgm")
    };
    let first = run("--workers 1");
    let rows: Vec<u8> = first[first.len() - 300_000..].chunks(100).map(|row| row[0]).collect();
    assert!(rows.windows(2).all(|two| two[1] == two[0].wrapping_add(1)), "one number for all strips");
    for flags in ["--workers 7", "--workers 2 --batch 1", "--workers 1 --fresh item", "--workers 7 --fresh batch"] {
        assert!(run(flags) == first, "{flags}");
    }
}
