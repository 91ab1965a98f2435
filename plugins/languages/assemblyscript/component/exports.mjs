// What a kernel exports gets the names that a component's exports have, which no identifier can be: `mapper__process` becomes
// `taskhost:kernel/mapper@VERSION#process`. For asc's --transform.

const version = "1.0.0";

const exports = [
  "mapper__process", "flat_mapper__process", "packed_mapper__process", "reducer__combine", "reducer__finish",
  "image_filter__prepare", "image_filter__filter", "lifecycle__start", "describe__describe",
];

export default class {
  afterCompile(module) {
    const internal = (name) => this.binaryen.getExportInfo(module.getExport(name)).value;
    const after = internal("after");
    module.removeExport("after");
    for (const name of exports.filter((name) => module.getExport(name))) {
      const [kind, method] = name.replace("_mapper", "-mapper").replace("_filter", "-filter").split("__");
      const full = `taskhost:kernel/${kind}@${version}#${method}`;
      module.addFunctionExport(internal(name), full);
      module.addFunctionExport(after, `cabi_post_${full}`);
      module.removeExport(name);
    }
  }
}
