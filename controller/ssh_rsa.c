#include "controller/ssh_rsa.h"

#include "controller/ssh_wire.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX ((size_t)4096) /* bytes: RSA keys of 32768 bits */

struct ssh_rsa {
    EVP_PKEY *key;
};

static struct ssh_rsa *adopt(EVP_PKEY *key)
{
    struct ssh_rsa *rsa = xcalloc(1, sizeof *rsa);
    rsa->key = key;
    return rsa;
}

void ssh_rsa_free(struct ssh_rsa *rsa)
{
    if (rsa != NULL) {
        EVP_PKEY_free(rsa->key);
        free(rsa);
    }
}

static int give_passphrase(char *out, int size, int is_writing, void *context)
{
    const char *passphrase = context;
    size_t length = passphrase != NULL ? strlen(passphrase) : 0;
    (void)is_writing;
    if (length == 0 || length > (size_t)size) {
        return -1;
    }
    /* Bytes and their number, without a NUL: pem_password_cb(3). */
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
    memcpy(out, passphrase, length);
    return (int)length;
}

static struct ssh_rsa *from_pem(const struct ssh_key *key, const char *passphrase,
                                struct error *err)
{
    CLEANUP_FREE char *words = passphrase != NULL ? xstrdup(passphrase) : NULL;
    BIO *bio = BIO_new_mem_buf(key->text.data, (int)key->text.length);
    EVP_PKEY *found =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, words) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (found == NULL) {
        (void)error_set(err, key->is_encrypted ? ERR_ACCESS : ERR_CORRUPT,
                        key->is_encrypted ? "the passphrase is wrong"
                                          : "the private key is damaged");
        return NULL;
    }
    if (EVP_PKEY_get_base_id(found) != EVP_PKEY_RSA) {
        EVP_PKEY_free(found);
        (void)error_set(err, ERR_UNSUPPORTED, "it is no RSA key");
        return NULL;
    }
    return adopt(found);
}

/* The numbers of RFC 8017 section 3.2 that are needed; OpenSSH has n and e the other way
 * round than in a public key. */
struct numbers {
    BIGNUM *n, *e, *d;
};

static BIGNUM *take_number(struct ssh_reader *reader)
{
    struct ssh_bytes bytes = ssh_get_string(reader);
    if (bytes.length == 0 || bytes.length > NUMBER_MAX || (bytes.data[0] & 0x80) != 0) {
        reader->is_broken = true;
        return NULL;
    }
    return BN_bin2bn(bytes.data, (int)bytes.length, NULL);
}

static EVP_PKEY *build(const struct numbers *numbers)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (builder != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, numbers->n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, numbers->e) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_D, numbers->d) == 1 &&
        (params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
        EVP_PKEY_fromdata_init(context) == 1) {
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}

static struct ssh_rsa *from_openssh(const struct ssh_key *key, struct error *err)
{
    struct ssh_reader reader = {(const uint8_t *)key->inner.data, key->inner.length,
                                false};
    EVP_PKEY *found = NULL;
    uint32_t check = ssh_get_u32(&reader);
    bool is_whole = ssh_get_u32(&reader) == check &&
                    ssh_bytes_are(ssh_get_string(&reader), "ssh-rsa");
    struct numbers numbers = {0};
    numbers.n = take_number(&reader);
    numbers.e = take_number(&reader);
    numbers.d = take_number(&reader);
    if (is_whole && !reader.is_broken && numbers.d != NULL) {
        found = build(&numbers);
    }
    BN_free(numbers.n);
    BN_free(numbers.e);
    BN_clear_free(numbers.d);
    if (found == NULL) {
        (void)error_set(err, ERR_CORRUPT, "the private key is damaged");
        return NULL;
    }
    return adopt(found);
}

struct ssh_rsa *ssh_rsa_new(const struct ssh_key *key, const char *passphrase,
                            struct error *err)
{
    if (!key->is_openssh) {
        return from_pem(key, passphrase, err);
    }
    if (key->is_encrypted || !key->is_rsa) {
        (void)error_set(err, ERR_UNSUPPORTED,
                        "an encrypted RSA key in OpenSSH's format, which libssh2 and "
                        "libcrypto cannot read");
        return NULL;
    }
    return from_openssh(key, err);
}

static int put_number(const struct ssh_rsa *rsa, const char *name, struct strbuf *out,
                      struct error *err)
{
    uint8_t bytes[NUMBER_MAX + 1] = {0};
    BIGNUM *number = NULL;
    int length = -1;
    if (EVP_PKEY_get_bn_param(rsa->key, name, &number) == 1 &&
        (size_t)BN_num_bytes(number) <= NUMBER_MAX) {
        length = BN_bn2bin(number, bytes + 1);
    }
    BN_free(number);
    if (length <= 0) {
        return error_set(err, ERR_CORRUPT, "the private key has no %s", name);
    }
    size_t skipped = (bytes[1] & 0x80) != 0 ? 0 : 1; /* a number is not negative */
    return ssh_put_string(out, bytes + skipped, (size_t)length + 1 - skipped, err);
}

int ssh_rsa_blob(const struct ssh_rsa *rsa, struct strbuf *out, struct error *err)
{
    return ssh_put_string(out, "ssh-rsa", strlen("ssh-rsa"), err) == 0 &&
                   put_number(rsa, OSSL_PKEY_PARAM_RSA_E, out, err) == 0
               ? put_number(rsa, OSSL_PKEY_PARAM_RSA_N, out, err)
               : -1;
}

int ssh_rsa_sign(const struct ssh_rsa *rsa, const void *data, size_t length,
                 struct strbuf *out, struct error *err)
{
    uint8_t signature[NUMBER_MAX];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_done = context != NULL &&
                   EVP_DigestSignInit(context, NULL, EVP_sha512(), NULL, rsa->key) == 1 &&
                   EVP_DigestSign(context, signature, &size, data, length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_done ? strbuf_add(out, signature, size, err)
                   : error_set(err, ERR_CORRUPT, "the RSA key does not sign");
}
