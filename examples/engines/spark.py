"""The lines of a file through a kernel, on the executors of a Spark cluster: see README.md."""

import json
import os
import shlex
import shutil
import sys

from pyspark.sql import SparkSession

# It ends with 3 when an item failed. The reply has said so; to Spark, all went well.
TOLERANT = '"$@" || [ $? = 3 ]'

# Spark starts it with an empty environment: without a place for compiled kernels, each partition would compile its own.
PASSED_ON = ["HOME", "PATH", "XDG_CACHE_HOME"]


def main(kernel, source, target, partitions, program="taskhost"):
    program = shutil.which(program) or sys.exit(f"there is no {program}")
    filter = [program, "stdio", kernel, "--lines", "--workers", "1", "--quiet"]
    with SparkSession.builder.appName("taskhost").getOrCreate() as session:
        replies = session.sparkContext.textFile(source, int(partitions)).pipe(
            shlex.join(["sh", "-c", TOLERANT, "sh", *filter]),
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            checkCode=True,  # Without it, a filter that is killed loses the rest of its partition, unnoticed.
        )
        replies.persist()  # Two things are asked of it.
        replies.filter(lambda reply: reply[0] == "0").map(lambda reply: reply[2:]).saveAsTextFile(target)
        failed = replies.filter(lambda reply: reply[0] == "1").map(lambda reply: json.loads(reply[2:]))
        for record in failed.take(20):
            print(record["message"], file=sys.stderr)
        return 3 if failed.count() else 0


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit("spark-submit spark.py KERNEL INPUT FOLDER PARTITIONS [TASKHOST]")
    sys.exit(main(*sys.argv[1:]))
