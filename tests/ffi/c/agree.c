/* Evaluates a case, at once and by chunks, and takes ten steps of every optimizer and an update, in float and double, and prints the bits
 * of every number.
 *
 * usage: agree CASE.txt; the file as the program `reference` writes it. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flatmin.h"

struct network_case {
    size_t inputs, hidden, classes, samples;
    uint32_t activation;
    double *theta, *input_rows, *target_rows;
};

static void check(flatmin_status status)
{
    if (status != FLATMIN_STATUS_OK) {
        char message[256];
        flatmin_last_error(message, sizeof message);
        fprintf(stderr, "%s: %s\n", flatmin_status_message(status), message);
        exit(EXIT_FAILURE);
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static double *read_numbers(FILE *file, size_t count)
{
    double *numbers = allocate(count, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        if (fscanf(file, "%lf", &numbers[i]) != 1) {
            fputs("malformed case\n", stderr);
            exit(EXIT_FAILURE);
        }
    }
    return numbers;
}

static void print_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    printf("%016" PRIx64 "\n", bits);
}

static void print_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    printf("%08" PRIx32 "\n", bits);
}

static void print_scalar(const char *kind, const char *name, double x)
{
    printf("%s %s ", kind, name);
    print_double(x);
}

struct named_optimizer {
    const char *name;
    flatmin_optimizer optimizer;
};

/* The optimizers: every update and every method. Returns how many. */
static size_t optimizers(struct named_optimizer *list)
{
    const flatmin_optimizer sgd = {
        .size = sizeof sgd,
        .learning_rate = 0.1,
        .momentum = 0.9,
        .weight_decay = 0.001,
    };
    flatmin_optimizer adam = {.size = sizeof adam, .learning_rate = 0.01, .weight_decay = 0.001};
    check(flatmin_optimizer_adam(&adam));

    flatmin_optimizer hsr = sgd, sampled = sgd, sam = sgd, nesterov = sgd, adamw = adam, hsr_adam = adam;
    hsr.method = hsr_adam.method = FLATMIN_HSR;
    hsr.rho = hsr_adam.rho = sampled.rho = 0.05;
    check(flatmin_optimizer_sampled(1, &sampled));
    sam.method = FLATMIN_SAM;
    sam.radius = 0.05;
    nesterov.update = FLATMIN_NESTEROV;
    nesterov.clip = 0.5;
    adamw.update = FLATMIN_ADAMW;
    adamw.weights_only = 1;

    const struct named_optimizer all[] = {
        {"hsr", hsr}, {"sampled", sampled}, {"sam", sam},          {"nesterov", nesterov},
        {"adam", adam}, {"adamw", adamw},   {"hsr_adam", hsr_adam},
    };
    memcpy(list, all, sizeof all);
    return sizeof all / sizeof all[0];
}

#define REAL float
#define SUFFIX f32
#define KIND "f32"
#define PRINT print_float
#include "agree.h"

#define REAL double
#define SUFFIX f64
#define KIND "f64"
#define PRINT print_double
#include "agree.h"

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    struct network_case from;
    if (file == NULL || fscanf(file, "%zu %zu %zu %zu %" SCNu32, &from.inputs, &from.hidden, &from.classes,
                               &from.samples, &from.activation) != 5) {
        fputs("usage: agree CASE.txt\n", stderr);
        return EXIT_FAILURE;
    }
    from.theta = read_numbers(file, (from.inputs + 1) * from.hidden + (from.hidden + 1) * from.classes);
    from.input_rows = read_numbers(file, from.samples * from.inputs);
    from.target_rows = read_numbers(file, from.samples * from.classes);
    fclose(file);

    evaluate_f32(&from);
    evaluate_f64(&from);

    free(from.theta);
    free(from.input_rows);
    free(from.target_rows);
    return EXIT_SUCCESS;
}
