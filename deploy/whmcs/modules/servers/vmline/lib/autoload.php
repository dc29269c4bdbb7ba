<?php

/**
 * Loads the classes of this module. WHMCS does so too, but not in every entry point of every version.
 */

spl_autoload_register(static function (string $class): void {
    $prefix = 'WHMCS\\Module\\Server\\Vmline\\';
    $file = __DIR__ . '/' . substr($class, strlen($prefix)) . '.php';
    if (strncmp($class, $prefix, strlen($prefix)) === 0 && is_file($file)) {
        require_once $file;
    }
});
