/* One number type's share of agree.c: included once for each, with
 * REAL, the type; SUFFIX, the end of the names of its functions; KIND, its name in the output; PRINT, how its bits are printed. */

#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)
#define OWN(name) JOIN(name, SUFFIX)

static void OWN(print_all)(const char *name, const REAL *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf(KIND " %s ", name);
        PRINT(numbers[i]);
    }
}

static REAL *OWN(convert)(const double *numbers, size_t count)
{
    REAL *converted = allocate(count, sizeof(REAL));
    for (size_t i = 0; i < count; i++)
        converted[i] = (REAL)numbers[i];
    return converted;
}

/* Takes ten steps, and an update along the gradient given. */
static void OWN(train)(const flatmin_plan *plan, struct named_optimizer given, REAL *theta,
                       const OWN(flatmin_batch) *batch, const REAL *gradient)
{
    flatmin_optimizer optimizer = given.optimizer;
    const size_t size = plan->parameters;
    size_t space, count;
    check(flatmin_optimizer_workspace_len(plan, &optimizer, &space));
    check(flatmin_optimizer_moments_len(plan, &optimizer, &count));
    REAL *workspace = allocate(space, sizeof(REAL));
    REAL *moments = allocate(count, sizeof(REAL)); /* zeros */
    REAL *along = allocate(size, sizeof(REAL));
    OWN(flatmin_state) state = {.size = sizeof state, .moments = moments, .moments_len = count};

    const double rate = optimizer.learning_rate;
    for (int i = 0; i < 10; i++) {
        optimizer.learning_rate = rate * flatmin_warm_up(state.steps, 4) * flatmin_cosine(state.steps, 20);
        flatmin_step step = flatmin_step_init();
        check(OWN(flatmin_step)(plan, &optimizer, theta, size, batch, &state, workspace, space, &step));
        print_scalar(KIND, given.name, step.loss);
        print_scalar(KIND, given.name, step.lambda_max_upper);
        print_scalar(KIND, given.name, step.estimated_trace_of_square);
    }
    memcpy(along, gradient, size * sizeof(REAL));
    check(OWN(flatmin_update)(plan, &optimizer, theta, size, along, size, &state));
    OWN(print_all)(given.name, theta, size);
    OWN(print_all)(given.name, moments, count);

    free(workspace);
    free(moments);
    free(along);
}

/* Evaluates the batch as a data set, by chunks of three samples; prints the numbers and returns the vectors. */
static void OWN(evaluate_chunks)(const struct network_case *from, const REAL *theta, const OWN(flatmin_batch) *data,
                                 const REAL *vector, REAL *gradient, REAL *product)
{
    flatmin_plan plan = flatmin_plan_init();
    check(flatmin_plan_new(from->inputs, from->hidden, from->classes, from->activation, 3, &plan));
    const size_t size = plan.parameters, space = plan.workspace_len;
    size_t more;
    check(flatmin_data_set_workspace_len(&plan, &more));
    REAL *workspace = allocate(space > more ? space : more, sizeof(REAL));

    flatmin_evaluation evaluation = flatmin_evaluation_init();
    flatmin_curvature exact = flatmin_curvature_init(), estimate = exact;
    double loss;
    check(OWN(flatmin_data_set_loss)(&plan, theta, size, data, workspace, space, &evaluation));
    check(OWN(flatmin_data_set_loss_gradient)(&plan, theta, size, data, gradient, size, workspace, space, &loss));
    check(OWN(flatmin_data_set_hessian_vector_product)(&plan, theta, size, data, vector, size, product, size, workspace,
                                                       space));
    check(OWN(flatmin_data_set_curvature)(&plan, theta, size, data, workspace, more, &exact));
    check(OWN(flatmin_data_set_curvature_estimate)(&plan, theta, size, data, workspace, space, &estimate));
    print_scalar(KIND, "data_set_loss", evaluation.loss);
    print_scalar(KIND, "data_set_accuracy", evaluation.accuracy);
    print_scalar(KIND, "data_set_loss", loss);
    print_scalar(KIND, "data_set_curvature", exact.trace);
    print_scalar(KIND, "data_set_curvature", exact.trace_of_square);
    print_scalar(KIND, "data_set_curvature", exact.lambda_max_upper);
    print_scalar(KIND, "data_set_estimate", estimate.trace);
    print_scalar(KIND, "data_set_estimate", estimate.trace_of_square);
    print_scalar(KIND, "data_set_estimate", estimate.lambda_max_upper);
    free(workspace);
}

static void OWN(evaluate)(const struct network_case *from)
{
    flatmin_plan plan = flatmin_plan_init();
    check(flatmin_plan_new(from->inputs, from->hidden, from->classes, from->activation, from->samples, &plan));

    const size_t size = plan.parameters, space = plan.workspace_len;
    REAL *theta = OWN(convert)(from->theta, size);
    REAL *inputs = OWN(convert)(from->input_rows, from->samples * from->inputs);
    REAL *targets = OWN(convert)(from->target_rows, from->samples * from->classes);
    REAL *gradient = allocate(size, sizeof(REAL));
    REAL *product = allocate(size, sizeof(REAL));
    REAL *workspace = allocate(space, sizeof(REAL));
    const OWN(flatmin_batch) batch = {
        .size = sizeof batch,
        .inputs = inputs,
        .inputs_len = from->samples * from->inputs,
        .distributions = targets,
        .distributions_len = from->samples * from->classes,
    };

    flatmin_evaluation evaluation = flatmin_evaluation_init();
    flatmin_curvature curvature = flatmin_curvature_init();
    double loss;
    check(OWN(flatmin_loss)(&plan, theta, size, &batch, workspace, space, &evaluation));
    check(OWN(flatmin_loss_gradient)(&plan, theta, size, &batch, gradient, size, workspace, space, &loss));
    check(OWN(flatmin_curvature)(&plan, theta, size, &batch, workspace, space, &curvature));
    check(OWN(flatmin_hessian_vector_product)(&plan, theta, size, &batch, gradient, size, product, size, workspace,
                                              space));
    print_scalar(KIND, "loss", evaluation.loss);
    print_scalar(KIND, "accuracy", evaluation.accuracy);
    print_scalar(KIND, "trace", curvature.trace);
    print_scalar(KIND, "trace_of_square", curvature.trace_of_square);
    print_scalar(KIND, "lambda_max_upper", curvature.lambda_max_upper);
    print_scalar(KIND, "lambda_max_lower", curvature.lambda_max_lower);
    print_scalar(KIND, "lambda_min_upper", curvature.lambda_min_upper);
    print_scalar(KIND, "lambda_min_lower", curvature.lambda_min_lower);

    const size_t outputs = from->samples * from->classes;
    REAL *fan_in = allocate(size, sizeof(REAL));
    REAL *glorot = allocate(size, sizeof(REAL));
    REAL *logits = allocate(outputs, sizeof(REAL));
    REAL *probabilities = allocate(outputs, sizeof(REAL));
    uint32_t *classes = allocate(from->samples, sizeof *classes);
    check(OWN(flatmin_initialize)(&plan, FLATMIN_FAN_IN, 42, fan_in, size));
    check(OWN(flatmin_initialize)(&plan, FLATMIN_GLOROT, 42, glorot, size));
    check(OWN(flatmin_logits)(&plan, theta, size, inputs, batch.inputs_len, logits, outputs, workspace, space));
    check(OWN(flatmin_probabilities)(&plan, theta, size, inputs, batch.inputs_len, probabilities, outputs, workspace,
                                     space));
    check(OWN(flatmin_classes)(&plan, theta, size, inputs, batch.inputs_len, classes, from->samples, workspace,
                               space));
    for (size_t n = 0; n < from->samples; n++)
        print_scalar(KIND, "class", classes[n]);

    REAL *data_set_gradient = allocate(size, sizeof(REAL));
    REAL *data_set_product = allocate(size, sizeof(REAL));
    OWN(evaluate_chunks)(from, theta, &batch, gradient, data_set_gradient, data_set_product);

    OWN(print_all)("gradient", gradient, size);
    OWN(print_all)("product", product, size);
    OWN(print_all)("fan_in", fan_in, size);
    OWN(print_all)("glorot", glorot, size);
    OWN(print_all)("logits", logits, outputs);
    OWN(print_all)("probabilities", probabilities, outputs);
    OWN(print_all)("data_set_gradient", data_set_gradient, size);
    OWN(print_all)("data_set_product", data_set_product, size);

    struct named_optimizer list[16];
    const size_t count = optimizers(list);
    for (size_t i = 0; i < count; i++)
        OWN(train)(&plan, list[i], theta, &batch, gradient);

    free(theta);
    free(inputs);
    free(targets);
    free(gradient);
    free(product);
    free(workspace);
    free(fan_in);
    free(glorot);
    free(logits);
    free(probabilities);
    free(classes);
    free(data_set_gradient);
    free(data_set_product);
}

#undef JOIN_
#undef JOIN
#undef OWN
#undef REAL
#undef SUFFIX
#undef KIND
#undef PRINT
