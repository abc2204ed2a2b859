#include "cli/settings.h"

#include "server/config.h"

#include <unistd.h>

static enum status read_all(struct options *options, const char *config_path, struct error *error)
{
    if (config_path != NULL) TRY(config_read(options, config_path, error));
    TRY(options_read_environment(options, environ, error));
    return options_finish(options, error);
}

int settings_parse(const char *command, int argc, char **argv, struct options *options, bool *ret_help)
{
    enum { DATA = 1000, LISTEN, CERTIFICATE, KEY, CONFIG, MEMORY, SET };
    static const struct option flags[] = {
        {"data", required_argument, NULL, DATA},
        {"listen", required_argument, NULL, LISTEN},
        {"tls-certificate", required_argument, NULL, CERTIFICATE},
        {"tls-key", required_argument, NULL, KEY},
        {"config", required_argument, NULL, CONFIG},
        {"memory", required_argument, NULL, MEMORY},
        {"set", required_argument, NULL, SET},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *config_path = NULL;
    struct error error = ERROR_INIT;
    enum status status = STATUS_OK;
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        switch (flag) {
        case DATA: status = options_set(options, OPTION_SOURCE_FLAG, STR("data.dir"), str_of(optarg), &error); break;
        case LISTEN:
            status = options_set(options, OPTION_SOURCE_FLAG, STR("http.listen"), str_of(optarg), &error);
            break;
        case CERTIFICATE:
            status = options_set(options, OPTION_SOURCE_FLAG, STR("http.tls_certificate"), str_of(optarg), &error);
            break;
        case KEY: status = options_set(options, OPTION_SOURCE_FLAG, STR("http.tls_key"), str_of(optarg), &error); break;
        case CONFIG:
            if (config_path != NULL) return command_usage(command, "--config is given twice");
            config_path = optarg;
            break;
        case MEMORY:
            status = options_set(options, OPTION_SOURCE_FLAG, STR("memory.max"), str_of(optarg), &error);
            break;
        case SET: status = options_set_flag(options, str_of(optarg), &error); break;
        case 'h': *ret_help = true; return EXIT_DONE;
        default: return EXIT_USAGE;
        }
        if (status != STATUS_OK) return command_failed(command, &error);
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    status = read_all(options, config_path, &error);
    return status == STATUS_OK ? EXIT_DONE : command_failed(command, &error);
}
