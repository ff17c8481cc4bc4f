//! Entering the user namespace in which an ordinary user may build networks.

/// Moves this process into a user namespace of its own. Call it first in `main`, before any thread exists.
///
/// # Errors
///
/// A message for people: what the kernel refused, and the setting that allows it.
pub fn enter_user_namespace() -> Result<(), String> {
    patchbay::init_userns().map_err(|error| {
        let setting = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
        let mut message = format!("cannot create a user namespace: {error:#}\n");
        let mut advise = |text: &str| message.push_str(text);
        if setting("/proc/sys/kernel/unprivileged_userns_clone").is_ok_and(|value| value == "0") {
            advise("This kernel forbids them to ordinary users. Allow them until the next boot with\n");
            advise("    sudo sysctl -w kernel.unprivileged_userns_clone=1\n");
        }
        if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|value| value == "1") {
            advise("AppArmor restricts them. Allow them until the next boot with\n");
            advise("    sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n");
        }
        if setting("/proc/sys/user/max_user_namespaces").is_ok_and(|value| value == "0") {
            advise("Their number is limited to none. Raise it until the next boot with\n");
            advise("    sudo sysctl -w user.max_user_namespaces=10000\n");
        }
        advise("In a container, start it with its seccomp profile off, or run this as root of a virtual machine.");
        message
    })
}
