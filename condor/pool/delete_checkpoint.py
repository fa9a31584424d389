#!/usr/bin/python3
"""Delete a file of a checkpoint that a job has put to an http:// URL; HTCondor calls this for old checkpoints.

    delete_checkpoint.py -from URL -delete FILE -jobad PATH [-ignore-missing-files]

pool.py names it in the file CHECKPOINT_DESTINATION_MAPFILE of the pool.
"""

import argparse
import sys
import urllib.error
import urllib.parse
import urllib.request

SECONDS = 20


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-from", dest="url", required=True, help="where the checkpoint is")
    parser.add_argument("-delete", dest="file", required=True, help="the file, below that")
    parser.add_argument("-jobad", help="a file with the job's ClassAd; not needed")
    parser.add_argument("-ignore-missing-files", action="store_true")
    options = parser.parse_args()
    url = f"{options.url.rstrip('/')}/{urllib.parse.quote(options.file.lstrip('/'))}"
    request = urllib.request.Request(url, method="DELETE")
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code != 404:  # 404: deleted by a call before this one
            print(f"{url}: {error}")
            return 1
    except OSError as error:
        print(f"{url}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
