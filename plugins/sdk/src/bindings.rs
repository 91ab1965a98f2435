//! The contract as code, generated from `wit/kernel.wit`: one world for the imports, one for each exported interface.
//!
//! A world for each interface, because a kernel exports any selection of them: the sections that describe these worlds
//! are merged when the kernel is linked. `export!` picks the worlds.

pub mod host {
    //! What the host offers, and the types that all interfaces share.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-host; world sdk-host { import taskhost:kernel/types@1.0.0; include taskhost:kernel/host@1.0.0; }",
        world: "taskhost:sdk-host/sdk-host",
        generate_all,
    });
}

pub mod describe {
    //! The exported interface `describe`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-describe; world sdk-describe { export taskhost:kernel/describe@1.0.0; }",
        world: "taskhost:sdk-describe/sdk-describe",
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::describe",
    });
}

pub mod lifecycle {
    //! The exported interface `lifecycle`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-lifecycle; world sdk-lifecycle { export taskhost:kernel/lifecycle@1.0.0; }",
        world: "taskhost:sdk-lifecycle/sdk-lifecycle",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::lifecycle",
    });
}

pub mod mapper {
    //! The exported interface `mapper`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-mapper; world sdk-mapper { export taskhost:kernel/mapper@1.0.0; }",
        world: "taskhost:sdk-mapper/sdk-mapper",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::mapper",
    });
}

pub mod flat_mapper {
    //! The exported interface `flat-mapper`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-flat-mapper; world sdk-flat-mapper { export taskhost:kernel/flat-mapper@1.0.0; }",
        world: "taskhost:sdk-flat-mapper/sdk-flat-mapper",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::flat_mapper",
    });
}

pub mod packed_mapper {
    //! The exported interface `packed-mapper`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-packed-mapper; world sdk-packed-mapper { export taskhost:kernel/packed-mapper@1.0.0; }",
        world: "taskhost:sdk-packed-mapper/sdk-packed-mapper",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::packed_mapper",
    });
}

pub mod reducer {
    //! The exported interface `reducer`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-reducer; world sdk-reducer { export taskhost:kernel/reducer@1.0.0; }",
        world: "taskhost:sdk-reducer/sdk-reducer",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::reducer",
    });
}

pub mod image_filter {
    //! The exported interface `image-filter`.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package taskhost:sdk-image-filter; world sdk-image-filter { export taskhost:kernel/image-filter@1.0.0; }",
        world: "taskhost:sdk-image-filter/sdk-image-filter",
        with: { "taskhost:kernel/types@1.0.0": crate::bindings::host::taskhost::kernel::types },
        pub_export_macro: true,
        default_bindings_module: "taskhost_kernel::bindings::image_filter",
    });
}
