#include "cli/command.h"
#include "cli/settings.h"

#include "base/log.h"
#include "server/server.h"

static const char help_begin[] =
    "cairn serve runs the server on a data directory until SIGTERM or SIGINT, which let requests in work finish.\n"
    "\n"
    "  cairn serve --data DIR [--listen [https://]ADDR:PORT]... [--memory SIZE] [--config FILE]\n"
    "              [--tls-certificate FILE --tls-key FILE] [--set NAME=VALUE]...\n"
    "\n" SETTINGS_HELP "  --help              this text\n"
    "\n"
    "It prints one line `listening on http://ADDR:PORT` when it accepts connections; everything else goes to\n"
    "standard error as a log. SIGHUP has it read the certificate again.\n"
    "\n"
    "Example: a server on all addresses, within 8 GiB of memory\n"
    "  cairn serve --data /var/lib/cairn --listen 0.0.0.0:8080 --memory 8g\n"
    "With TLS, as browsers and some SDKs want it\n"
    "  cairn serve --data /var/lib/cairn --listen https://0.0.0.0:443 --tls-certificate chain.pem --tls-key key.pem\n"
    "\n"
    "Options, with their defaults. The highest counts: --set, then the environment (CAIRN_HTTP_LISTEN for\n"
    "http.listen), then the file, then the default. conf/cairn.conf is a commented sample.\n";

static int print_help(void)
{
    struct buf buf = BUF_INIT((size_t)1 << 20);
    options_help(&buf);
    fputs(help_begin, stdout);
    fwrite(buf.data, 1, buf.size, stdout);
    buf_fini(&buf);
    return command_finish_output();
}

static int serve(int argc, char **argv, struct options *options)
{
    static const char command[] = "cairn serve";
    bool help = false;
    int code = settings_parse(command, argc, argv, options, &help);
    if (code != EXIT_DONE) return code;
    if (help) return print_help();
    if (options->data_dir[0] == '\0')
        return command_usage(command, "--data DIR is missing: the directory where the server keeps everything");
    log_configure((enum log_level)options->log_level, (enum log_format)options->log_format);
    struct error error = ERROR_INIT;
    return server_run(options, &error) == STATUS_OK ? EXIT_DONE : command_failed(command, &error);
}

int cmd_serve(int argc, char **argv)
{
    struct options *options = options_new();
    if (options == NULL) {
        fputs("cairn serve: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    int code = serve(argc, argv, options);
    options_free(options);
    return code;
}
