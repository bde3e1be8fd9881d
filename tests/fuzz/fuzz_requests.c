/*
 * requests: any bytes as what a connection asked of a run.
 *
 * The file lies beside a good one of a later time: whatever it is, the run is canceled,
 * and within the bounds of a request.
 */
#include "tests/fuzz/fuzz.h"

#include "executor/requests.h"

#define GRACE_MS 5000
#define GRACE_MAX_MS 86400000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] =
        "{\"request\":\"cancel\",\"reason\":\"enough\",\"by\":\"me\","
        "\"grace_ms\":7}";
    char *path = fuzz_folder();
    CLEANUP_FD int run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct cancel_request request;
    bool is_asked;

    if (run_fd < 0 || mkdirat(run_fd, "requests", 0700) < 0) {
        mem_abort("fuzz: no folder");
    }
    fuzz_write(run_fd, "requests/1000-aa.json", data, size);
    fuzz_write(run_fd, "requests/.tmp-bb", data, size);
    if (requests_find_cancel(run_fd, GRACE_MS, &request)) {
        assert(request.grace_ms >= 0 && request.grace_ms <= GRACE_MAX_MS);
        assert(strlen(request.reason) < sizeof(request.reason));
        assert(strlen(request.by) < sizeof(request.by));
    }
    fuzz_write(run_fd, "requests/2000-cc.json", good, sizeof(good) - 1);
    is_asked = requests_find_cancel(run_fd, GRACE_MS, &request);
    assert(is_asked && request.grace_ms <= 7);
    fuzz_folder_remove(path);
    return 0;
}
