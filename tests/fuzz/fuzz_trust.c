/*
 * trust: any bytes as trust.json.
 *
 * Nothing is trusted that is not recorded; and where the file can be read, a claim that
 * is added is trusted from then on, others keep their place, and it can be taken back.
 */
#include "tests/fuzz/fuzz.h"

#include "controller/trust.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool check(const struct home *home, const char *path, struct error *err)
{
    CLEANUP(trust_claim_release)
    struct trust_claim claim = {.path = xstrdup(path), .digest = DIGEST};

    claim.is_trusted = true;
    if (trust_check(home, &claim, err) < 0) {
        fuzz_check_error(err);
        assert(err->code == ERR_CORRUPT || err->code == ERR_VERSION ||
               err->code == ERR_LIMIT);
        return false;
    }
    return claim.is_trusted;
}

static void add_and_remove(const struct home *home, bool other_is_trusted)
{
    CLEANUP(trust_claim_release)
    struct trust_claim claim = {.path = xstrdup("/new/errand.yaml"), .digest = DIGEST};
    struct error err = ERROR_INIT;
    bool was_there = false;

    if (trust_add(home, &claim, &err) < 0) {
        assert(err.code == ERR_LIMIT);
        return;
    }
    assert(claim.is_trusted && check(home, claim.path, &err));
    assert(check(home, "/a/errand.yaml", &err) == other_is_trusted);
    if (trust_remove(home, claim.path, &was_there, &err) < 0) {
        fuzz_fail("the claim cannot be taken back");
    }
    assert(was_there && !check(home, claim.path, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *folder = fuzz_folder();
    struct home home = {.config = folder, .state = folder};
    CLEANUP_FREE char *path = home_path(&home, "trust.json");
    struct error err = ERROR_INIT;
    bool is_trusted;

    fuzz_write(AT_FDCWD, path, data, size);
    is_trusted = check(&home, "/a/errand.yaml", &err);
    if (err.code == ERR_NONE) {
        add_and_remove(&home, is_trusted);
    }
    fuzz_folder_remove(folder);
    return 0;
}
