<?php

namespace Vmline\Tests;

/**
 * Ports of this machine for servers that a test starts.
 */
final class Port
{
    public static function free(): int
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        $port = (int) explode(':', (string) stream_socket_get_name($socket, false))[1];
        fclose($socket);
        return $port;
    }

    /** Returns once something listens there. */
    public static function await(int $port): void
    {
        $end = microtime(true) + 10;
        while (($socket = @fsockopen('127.0.0.1', $port)) === false) {
            if (microtime(true) > $end) {
                throw new \RuntimeException("nothing listens on port $port");
            }
            usleep(5000);
        }
        fclose($socket);
    }
}
