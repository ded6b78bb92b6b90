// The header in C++: structures, constants and a call.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "flatmin.h"

int main()
{
    flatmin_plan plan = flatmin_plan_init();
    if (flatmin_plan_new(2, 4, 2, FLATMIN_TANH, 4, &plan) != FLATMIN_STATUS_OK) {
        std::fprintf(stderr, "no plan\n");
        return 1;
    }
    // XOR.
    const std::array<double, 8> inputs{0, 0, 0, 1, 1, 0, 1, 1};
    const std::array<std::uint32_t, 4> classes{0, 1, 1, 0};
    std::vector<double> theta(plan.parameters), workspace(plan.workspace_len);
    for (std::size_t i = 0; i < theta.size(); ++i)
        theta[i] = 0.9 * ((i * 7 % 5) - 2.0);
    flatmin_batch_f64 batch = flatmin_batch_f64_init();
    batch.inputs = inputs.data();
    batch.inputs_len = inputs.size();
    batch.classes = classes.data();
    batch.classes_len = classes.size();

    flatmin_optimizer hsr = flatmin_optimizer_init();
    hsr.method = FLATMIN_HSR;
    hsr.learning_rate = 0.5;
    hsr.rho = 0.01;
    flatmin_state_f64 state = flatmin_state_f64_init();
    flatmin_step first = flatmin_step_init(), last = first;
    for (int i = 0; i < 500; ++i) {
        const flatmin_status status = flatmin_step_f64(&plan, &hsr, theta.data(), theta.size(), &batch, &state,
                                                       workspace.data(), workspace.size(), &last);
        if (status != FLATMIN_STATUS_OK) {
            std::fprintf(stderr, "%s\n", flatmin_status_message(status));
            return 1;
        }
        if (i == 0)
            first = last;
    }
    // An error: its code and its message.
    const flatmin_status refused = flatmin_step_f64(&plan, &hsr, theta.data(), theta.size() - 1, &batch, &state,
                                                    workspace.data(), workspace.size(), &last);
    char message[128];
    flatmin_last_error(message, sizeof message);
    const bool right = state.steps == 500 && last.loss < 0.1 * first.loss && refused == FLATMIN_STATUS_LENGTH &&
                       std::strcmp(message, "theta: length 21 given, 22 expected") == 0;
    std::printf("flatmin %s, %s: loss %g -> %g; %s\n", flatmin_version(), flatmin_instruction_set(), first.loss,
                last.loss, message);
    return right ? 0 : 1;
}
